"""Identifiers use the glossary's words; see the design's glossary for the ones to use instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DONE = (
    "shared/city", "services/routing", "services/notify", "services/desk", "deploy/dev", "tests/unit/routing",
    "tests/unit/notify", "tests/unit/desk", "tests/integration/routing", "tests/integration/intake",
    "tests/integration/desk",
)  # fmt: skip
"""Folders whose identifiers are checked; extend it with each package that has been renamed."""
BANNED = frozenset({
    "ahead", "ask", "asked", "asking", "asks", "beat", "beats", "beside", "deed", "deeds", "drafting", "following",
    "gather", "grouping", "handling", "heard", "hole", "holes", "hot", "look", "looks", "most", "owed", "patience",
    "rung", "rungs", "said", "saying", "tell", "tells", "told", "tongue", "trouble", "troubles", "twin", "twins",
    "voice", "watching", "welcome", "words",
})  # fmt: skip
BANNED_PHRASES = ("goes_on", "hand_over", "hand_overs", "handed_over", "place_of")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def defined_names(source: str) -> Iterator[tuple[int, str]]:
    """Yields the names that a module defines, with their lines; names of other packages do not count."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case _:
                continue


def banned_in(name: str) -> list[str]:
    """Returns the banned words and phrases that are parts of a name."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    joined = f"_{'_'.join(parts)}_"
    return sorted(BANNED.intersection(parts)) + [phrase for phrase in BANNED_PHRASES if f"_{phrase}_" in joined]


def modules() -> list[Path]:
    """Lists the modules to check, without released migrations, which never change."""
    found = (path for folder in DONE for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "versions" not in path.parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_identifier_contains_a_banned_word(path: Path) -> None:
    banned = [f"{line}: {name}" for line, name in defined_names(path.read_text()) if banned_in(name)]

    names = [f"{path.stem}: the file itself"] if banned_in(path.stem) else []
    assert names + banned == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ToldLine", ["told"]), ("MOST_HAND_OVERS", ["most", "hand_overs"]), ("_who_is_owed", ["owed"]),
        ("goes_on", ["goes_on"]), ("place_of_note", ["place_of"]), ("almost", []), ("last_seen_at", []),
        ("escalation_targets", []), ("place", []),
    ],
)  # fmt: skip
def test_parts_of_names_are_recognised(name: str, found: list[str]) -> None:
    assert banned_in(name) == found


def test_names_are_found_wherever_a_module_defines_them() -> None:
    source = "class A:\n  b: int\n  def c(self, d): self.e = d\nfor f in []: pass\nimport g as h\ni = lambda j: j\n"

    assert {name for _, name in defined_names(source)} == {"A", "b", "c", "self", "d", "e", "f", "h", "i", "j"}

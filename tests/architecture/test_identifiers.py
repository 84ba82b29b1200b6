"""Identifiers use the glossary's words; see the design's glossary for the ones to use instead."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.source_files import ROOT, modules_in, nodes_of, text_of

CHECKED = ("deploy", "services", "shared", "tests")
"""Folders whose identifiers are checked."""
BANNED = frozenset({
    "ahead", "ask", "asked", "asking", "asks", "beat", "beats", "beside", "deed", "deeds", "drafting", "following",
    "gather", "grouping", "handling", "heard", "hole", "holes", "hot", "look", "looks", "most", "owed", "patience",
    "rung", "rungs", "said", "saying", "tell", "tells", "told", "tongue", "trouble", "troubles", "twin", "twins",
    "voice", "watching", "welcome", "words",
})  # fmt: skip
BANNED_PHRASES = ("goes_on", "hand_over", "hand_overs", "handed_over", "place_of")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAMES = re.compile(r"[A-Za-z_]\w*")


def defined_names(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yields the names that a module defines, with their lines; names of other packages do not count."""
    for node in nodes:
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


@cache
def banned_in(name: str) -> list[str]:
    """Returns the banned words and phrases that are parts of a name."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    joined = f"_{'_'.join(parts)}_"
    return sorted(BANNED.intersection(parts)) + [phrase for phrase in BANNED_PHRASES if f"_{phrase}_" in joined]


def banned_names_in(path: Path) -> list[str]:
    """Returns the banned names that a module defines, and its own name if it is banned."""
    place = path.relative_to(ROOT)
    own = [f"{place}: the file itself"] if banned_in(path.stem) else []
    # Only few modules have such a word at all, and to parse a module takes long.
    if not any(map(banned_in, set(_NAMES.findall(text_of(path))))):
        return own
    return own + [f"{place}:{line}: {name}" for line, name in defined_names(nodes_of(path)) if banned_in(name)]


@pytest.mark.parametrize("folder", CHECKED)
def test_no_identifier_contains_a_banned_word(folder: str) -> None:
    # Released migrations never change.
    modules = [path for path in modules_in(folder) if "versions" not in path.parts]

    assert modules
    assert [name for path in modules for name in banned_names_in(path)] == []


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

    assert {name for _, name in defined_names(ast.walk(ast.parse(source)))} == {
        "A",
        "b",
        "c",
        "self",
        "d",
        "e",
        "f",
        "h",
        "i",
        "j",
    }

"""Docstrings, comments, messages and pages use no phrase that the glossary bans, in both languages."""

import io
import re
import tokenize
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED = (
    "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "README.md", "SECURITY.md", "deploy", "docker-compose.yml", "docs",
    "pyproject.toml", "services", "shared", "tests",
)  # fmt: skip
"""Folders and files whose prose is checked."""
BANNED = re.compile(
    r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b)"
    r"|\b(?:says? nothing|begins? anew|anew|goes on|go on|a word to|at its word|of its own accord)\b"
    r"|\b(?:beside|deeds?|gather(?:s|ed|ing)?|heard|rungs?|said|tells?|told|tongues?|troubles?|twins?|welcome)\b",
    re.IGNORECASE,
)
"""Phrases without an innocent meaning in this repository. `there is no X` is plain English, `X is no Y` is not."""
ALLOWED = {
    "Tell us what happened to a child": "the public form speaks to a reporting person",
    "Tell it in your own words": "the public form speaks to a reporting person",
    '"told"': "a key in the rows of an older version",
}
"""Sentences with such a phrase, each with the reason."""
_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_PAGES = {".md", ".html", ".po", ".yml", ".toml", ".example", ""}


def files_in(name: str, suffixes: Collection[str] = _PAGES | {".py"}) -> list[Path]:
    """Lists the files to check, without released migrations, which never change."""
    path = ROOT / name
    found = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    skipped = {"versions", "node_modules", "__pycache__"}
    return sorted(
        path
        for path in found
        # The words themselves stand in the tests of words.
        if skipped.isdisjoint(path.parts) and path.parent.name != "architecture" and path.suffix in suffixes
    )


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the lines of prose with their numbers: of Python, comments and strings; of a page, everything.

    Of a module without any banned word, nothing.
    """
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    if not BANNED.search(text):
        # Only few modules have such a word at all, and to divide a module into its tokens takes long.
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _TOKENS:
            yield from enumerate(token.string.splitlines(), token.start[0])


def banned_in(line: str) -> list[str]:
    """Returns the banned phrases of a line."""
    for sentence in ALLOWED:
        line = line.replace(sentence, "")
    return [found[0] for found in BANNED.finditer(line)]


@pytest.mark.parametrize("name", CHECKED)
def test_no_sentence_contains_a_banned_phrase(name: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {', '.join(banned)}"
        for path in files_in(name)
        for number, line in prose_of(path)
        if (banned := banned_in(line))
    ]

    assert files_in(name)
    assert found == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a body that is no form", ["is no "]), ("there is no such case", []), ("it is no longer needed", []),
        ("the service goes on elsewhere", ["goes on"]), ("who was told what", ["told"]), ("besides", []),
        ("the gateway", []), ("retold and foretells", []), ("Begins anew", ["Begins anew"]),
    ],
)  # fmt: skip
def test_phrases_are_recognised(line: str, found: list[str]) -> None:
    assert banned_in(line) == found


ONE_WORD = {
    "pengelola kasus, pengelolaan kasus": r"\b(?:manajer|manajemen|petugas|pengurus) kasus\b",
    "kegentingan, genting": r"\b(?:prioritas|urgensi|kedaruratan|kemendesakan|mendesak|tingkat risiko)\b",
    "lembaga": r"\b(?:instansi(?!\.example)|agensi)(?:nya)?\b",
}
"""The Indonesian word for a thing that had several -> the words that it replaced."""


_JAVANESE = re.compile(r"^( *)jv:.*(?:\n(?:\1 +.*| *$))*", re.MULTILINE)


@cache
def indonesian_files() -> dict[str, str]:
    """Reads every file that shows Indonesian text to people, and the tests that read them, without Javanese."""
    return {
        str(path.relative_to(ROOT)): _JAVANESE.sub("", path.read_text())
        for name in ("README.md", "deploy", "docs", "services", "shared", "tests")
        for path in files_in(name, {".html", ".md", ".po", ".py", ".txt", ".typ", ".yaml"})
    }


@pytest.mark.parametrize("word", ONE_WORD)
def test_one_thing_has_one_indonesian_word(word: str) -> None:
    other = re.compile(ONE_WORD[word], re.IGNORECASE)

    found = {
        name: [line for line in text.splitlines() if other.search(line)]
        for name, text in indonesian_files().items()
        if other.search(text)
    }

    assert len(indonesian_files()) > 100
    assert found == {}, f"write {word}"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("pengelola kasus, pengelolaan kasus", "Manajer kasus menilai"), ("kegentingan, genting", "Prioritas: TINGGI"),
        ("lembaga", "hubungi instansinya"), ("lembaga", "Instansi"),
    ],
)  # fmt: skip
def test_a_replaced_indonesian_word_is_recognised(word: str, line: str) -> None:
    assert re.search(ONE_WORD[word], line, re.IGNORECASE)


def test_of_a_module_only_comments_and_strings_are_prose(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('told = 1  # It goes on.\n"""One line,\nthat nobody heard."""\n')

    found = [(number, phrase) for number, line in prose_of(module) for phrase in banned_in(line)]

    assert found == [(1, "goes on"), (3, "heard")]

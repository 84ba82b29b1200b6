"""Texts for people exist in both languages, and every translation is used."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from simpul_schema.translations import LANGUAGES, SOURCE_LANGUAGE, load_translations, translate_all
from tests.support.source_files import ROOT, text_of
from tests.support.source_files import nodes_of as nodes_of_module

KEYWORDS = {"_": None, "gettext": None, "gettext_noop": None}
_MARK = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\(")
CATALOGUES = sorted(ROOT.glob("*/*/simpul_*/locale/*/LC_MESSAGES/messages.po"))
TRANSLATED = sorted({path.parents[3] for path in CATALOGUES})


def translations_in(path: Path) -> dict[str, str]:
    """Message -> translation; what is marked as fuzzy counts as missing."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.parent.parent.name)
    return {str(entry.id): "" if entry.fuzzy else str(entry.string) for entry in catalogue if entry.id}


@cache
def messages_of(package: Path) -> set[str]:
    """The messages that the package's code and templates mark for translation."""
    modules = [("python", path) for path in package.rglob("*.py") if _MARK.search(text_of(path))]
    pages = [("jinja2", path) for path in package.rglob("*.html") if "templates" in path.parts]
    found = [one for method, path in (*modules, *pages) for one in extract_from_file(method, path, keywords=KEYWORDS)]
    return {message if isinstance(message, str) else message[0] for _, message, _, _ in found}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}|%\(\w+\)[ds]", text))


@pytest.mark.parametrize("package", TRANSLATED, ids=lambda package: package.name)
def test_a_translated_package_has_every_language(package: Path) -> None:
    languages = {path.parent.parent.name for path in CATALOGUES if path.parents[3] == package}

    # A package may have more of them, such as the one that alerts people in Javanese.
    assert languages >= set(LANGUAGES) - {SOURCE_LANGUAGE}


def test_every_package_that_marks_messages_has_a_catalogue() -> None:
    marking = {package for package in ROOT.glob("*/*/simpul_*") if messages_of(package)}

    assert marking == set(TRANSLATED)
    named = re.search(r"^TRANSLATED := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named
    assert {ROOT / package for package in named[1].split()} == marking


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[3].name)
def test_catalogue_holds_exactly_the_messages_of_the_code(path: Path) -> None:
    assert set(translations_in(path)) == messages_of(path.parents[3])


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[3].name)
def test_every_message_is_translated_with_the_same_placeholders(path: Path) -> None:
    for message, translation in translations_in(path).items():
        assert translation, message
        assert placeholders(message) == placeholders(translation)


def test_a_message_that_a_service_lacks_is_looked_up_in_the_runtime() -> None:
    translations = load_translations("simpul_intake", "simpul_runtime")

    assert translate_all(translations, "Send") == {"id": "Kirim", "en": "Send"}
    assert translate_all(translations, "Must be at least {ge}.", {"ge": 3}) == {
        "id": "Paling kecil 3.",
        "en": "Must be at least 3.",
    }


PACKAGES = sorted(ROOT.glob("*/*/simpul_*"))
CHOICES = {
    # Labels are part of the published contract, so that every consumer shows the same words for a code: they stand
    # next to their code, as data of the class Term.
    "simpul_schema/vocabulary.py": "a Term chooses between its labels",
    "simpul_agreement/model/terms.py": "a city writes texts in both languages into its own files",
    "simpul_agreement/languages.py": "numbers have another separator of thousands",
}
"""Files that choose by language, once each, with the reason."""


def nodes_of(package: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every constant, dictionary and comparison in the package with its file; released migrations never change."""
    for path in sorted(package.rglob("*.py")):
        if "versions" not in path.parts:
            place = str(path.relative_to(package.parent))
            for node in nodes_of_module(path):
                if isinstance(node, ast.Constant | ast.Dict | ast.Compare):
                    yield place, node


def language_codes(nodes: Iterable[ast.AST | None]) -> set[str]:
    """The constants among the nodes that are codes of languages."""
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant)} & set(LANGUAGES)


def joins_two_languages(node: ast.AST) -> bool:
    """Whether a string holds a sentence in each language, with a slash between them."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " / " in node.value


def pairs_two_languages(node: ast.AST) -> bool:
    """Whether a dictionary holds a text in each language."""
    return isinstance(node, ast.Dict) and language_codes(node.keys) == set(LANGUAGES)


def chooses_a_language(node: ast.AST) -> bool:
    """Whether code compares a language, as it does to choose between two texts."""
    return isinstance(node, ast.Compare) and bool(language_codes([node.left, *node.comparators]))


@cache
def language_nodes(package: Path) -> tuple[list[str], list[str]]:
    """Where the package's code holds texts in two languages, and the files that choose by language, once each time."""
    texts, choices = [], []
    for place, node in nodes_of(package):
        if joins_two_languages(node) or pairs_two_languages(node):
            texts.append(f"{place}:{getattr(node, 'lineno', 0)}")
        if chooses_a_language(node):
            choices.append(place)
    return texts, choices


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_no_code_holds_texts_in_two_languages(package: Path) -> None:
    texts, choices = language_nodes(package)
    templates = [str(path) for path in sorted(package.rglob("*.html")) if re.search(r"\w / \w", path.read_text())]

    assert [*texts, *(place for place in choices if place not in CHOICES), *templates] == []


def test_a_file_that_may_choose_by_language_does_so_once() -> None:
    choices = [place for package in PACKAGES for place in language_nodes(package)[1]]

    assert sorted(choices) == sorted(CHOICES)

"""Texts for people exist in both languages, and every translation is used."""

import ast
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from simpul_runtime.languages import LANGUAGES, SOURCE_LANGUAGE
from simpul_runtime.translations import load_translations, translate_all

ROOT = Path(__file__).parents[2]
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext_noop": None}
CATALOGUES = sorted(ROOT.glob("s*/*/simpul_*/locale/*/LC_MESSAGES/messages.po"))
TRANSLATED = sorted({path.parents[3] for path in CATALOGUES})


def translations_in(path: Path) -> dict[str, str]:
    """Message -> translation; what is marked as fuzzy counts as missing."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.parent.parent.name)
    return {str(entry.id): "" if entry.fuzzy else str(entry.string) for entry in catalogue if entry.id}


def messages_of(package: Path) -> set[str]:
    """The messages that the package's code and templates mark for translation."""
    found = extract_from_dir(package, METHODS, keywords=KEYWORDS)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}|%\(\w+\)[ds]", text))


@pytest.mark.parametrize("package", TRANSLATED, ids=lambda package: package.name)
def test_a_translated_package_has_every_language(package: Path) -> None:
    languages = {path.parent.parent.name for path in CATALOGUES if path.parents[3] == package}

    assert languages == set(LANGUAGES) - {SOURCE_LANGUAGE}


def test_every_package_that_marks_messages_has_a_catalogue() -> None:
    marking = {package for package in ROOT.glob("s*/*/simpul_*") if messages_of(package)}

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
        "id": "Paling kecil 3.", "en": "Must be at least 3.",
    }  # fmt: skip


@pytest.mark.parametrize("package", ["services/intake", "services/notify", "services/desk", "shared/runtime"])
def test_no_string_joins_two_languages_with_a_slash(package: str) -> None:
    joined = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " / " in node.value
    ]
    joined += [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.html"))
        if re.search(r"\w / \w", path.read_text())
    ]

    assert joined == []

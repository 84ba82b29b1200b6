"""`--help` speaks the language of the output, which `--language` or the environment chooses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simpul_cli.app import COMMANDS
from simpul_dev.help_catalogue import TEXTS
from simpul_schema.translations import HELP, load_translations, preferred_language
from tests.architecture.test_catalogues import placeholders

BIN = Path(sys.executable).parent
SAME = {"python, node, php", "intake, routing, notify, desk", "R-7K3Q2M"}
"""Texts that are the same in both languages."""


def shown(*command: str, **environment: str) -> str:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        env=known | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("package", TEXTS)
def test_every_text_of_help_is_translated(package: str) -> None:
    translate = load_translations(package, catalogue=HELP)["id"].gettext
    texts = TEXTS[package]()

    assert len(texts) > 30
    assert [text for text in texts if translate(text) == text and text not in SAME] == []
    assert all(placeholders(text) == placeholders(translate(text)) for text in texts)


@pytest.mark.parametrize("package", TEXTS)
def test_the_catalogue_of_help_holds_nothing_else(package: str) -> None:
    catalogue: dict[str, str] = load_translations(package, catalogue=HELP)["id"]._catalog  # type: ignore[attr-defined]

    assert {text for text in catalogue if text} == set(TEXTS[package]())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "english", "indonesian"),
    [
        (("simpul", "--help"), "Backups: created, listed", "Cadangan: dibuat, didaftar"),
        (("simpul", "case", "list", "--help"), "only cases of this urgency", "hanya kasus dengan kegentingan ini"),
        (("simpul", "agreement", "explain", "--help"), "Explain the decision", "Jelaskan keputusan"),
        (("simpul-agency", "new", "--help"), "file or folder to write", "berkas atau folder yang ditulis"),
        (("simpul-agreement", "simulate", "--help"), "calendar year", "tahun kalender"),
    ],
)  # fmt: skip
def test_help_speaks_the_language_of_the_environment(command: tuple[str, ...], english: str, indonesian: str) -> None:
    in_english, in_indonesian = shown(*command), shown(*command, LANG="id_ID.UTF-8")

    assert english in in_english
    assert indonesian not in in_english
    assert indonesian in in_indonesian
    assert english not in in_indonesian
    # The listing of `simpul` is plain text, for which no parser has to be loaded.
    assert command == ("simpul", "--help") or "Opsi" in in_indonesian


@pytest.mark.slow
def test_the_language_of_the_output_is_that_of_help_too() -> None:
    assert "kalender" in shown("simpul-agreement", "simulate", "--language", "id", "--help")
    assert "kalender" not in shown("simpul-agreement", "simulate", "--language=en", "--help", LANG="id_ID.UTF-8")


def test_an_option_is_stronger_than_the_environment() -> None:
    environment = {"LANG": "id_ID.UTF-8"}

    assert preferred_language(environment) == preferred_language(environment, ["case", "list"]) == "id"
    assert preferred_language(environment, ["case", "list", "--language", "en"]) == "en"
    assert preferred_language({}, ["--language=id"]) == "id"
    assert preferred_language({}, ["--language"]) == "en"


@pytest.mark.slow
def test_the_listing_of_simpul_is_translated_line_by_line() -> None:
    listing = shown("simpul", "--help", LC_ALL="id_ID.UTF-8")

    assert all(name in listing for name in COMMANDS)
    assert not [line for line in COMMANDS.values() if line in listing]

"""A wrong argument is answered in the language of the caller, without the words of the library that found it."""

import os
import subprocess
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
import typer

from simpul_schema.command_help import run_command

BIN = Path(sys.executable).parent
OF_LIBRARIES = ("Value error", "Input should", "Error:", "Invalid value", "unable to parse")
app = typer.Typer()


class Shade(StrEnum):
    """Two values to choose from."""

    DARK = "dark"
    LIGHT = "light"


@app.command()
def paint(
    shade: Shade,
    count: Annotated[int, typer.Option(min=1, max=9)] = 1,
    share: float = 0.5,
    at: datetime | None = None,
    wall: UUID | None = None,
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False)] = Path(),
    file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Accept every kind of argument that the commands have."""


@app.command()
def clean() -> None:
    """Accept nothing."""


@pytest.mark.parametrize(
    ("arguments", "english", "indonesian"),
    [
        ("paint", "SHADE is missing.", "SHADE belum diisi."),
        ("paint red", "SHADE: red is not one of dark, light.", "SHADE: red bukan salah satu dari dark, light."),
        ("paint dark --count x", "--count is not a whole number.", "--count bukan bilangan bulat."),
        ("paint dark --count 0", "--count is less than 1.", "--count kurang dari 1."),
        ("paint dark --count 10", "--count is more than 9.", "--count lebih dari 9."),
        ("paint dark --share x", "--share is not a number.", "--share bukan angka."),
        (
            "paint dark --at x", "--at is not a time such as 2026-11-27T08:30.",
            "--at bukan waktu seperti 2026-11-27T08:30.",
        ),
        (
            "paint dark --wall x", "--wall is not an id such as 7e926413-2d54-4b27-b4f0-f0effb1e7cbf.",
            "--wall bukan id seperti 7e926413-2d54-4b27-b4f0-f0effb1e7cbf.",
        ),
        ("paint dark --folder gone", "--folder: gone does not exist.", "--folder: gone tidak ada."),
        (
            "paint dark --folder a.txt", "--folder: a.txt is a file, not a folder.",
            "--folder: a.txt adalah berkas, bukan folder.",
        ),
        ("paint dark --file .", "--file: . is a folder, not a file.", "--file: . adalah folder, bukan berkas."),
        ("paint dark --cuont 1", "There is no option --cuont; perhaps --count.",
         "Tidak ada opsi --cuont; mungkin --count."),
        ("paint dark --zzz", "There is no option --zzz.", "Tidak ada opsi --zzz."),
        ("paint dark --count", "--count needs a value.", "--count memerlukan nilai."),
        ("paint dark x y", "This is more than the command takes: x y",
         "Ini lebih dari yang diterima perintah itu: x y"),
        ("scrub", "There is no command scrub.", "Tidak ada perintah scrub."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("language", ["en", "id"])
def test_each_mistake_is_described(
    arguments: str,
    english: str,
    indonesian: str,
    language: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", f"{language}.UTF-8")
    monkeypatch.setattr(sys, "argv", ["house", *arguments.split()])

    with pytest.raises(SystemExit) as stop:
        run_command(typer.main.get_command(app), "simpul_agreement")

    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.splitlines()[0].casefold() == (english if language == "en" else indonesian).casefold()
    assert not [word for word in OF_LIBRARIES if word in printed]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["simpul case list --limit 0", "simpul-agreement simulate . --reports 0", "simpul-agency listen --port x"],
)
def test_every_command_answers_in_the_language_of_the_caller(command: str) -> None:
    name, *arguments = command.split()
    for language, expected in (("en", "Usage: "), ("id", "Pemakaian: ")):
        done = subprocess.run(
            [str(BIN / name), *arguments],
            env=os.environ | {"LC_ALL": f"{language}.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert expected in done.stderr
        assert not [word for word in OF_LIBRARIES if word in done.stderr]

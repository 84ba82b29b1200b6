"""Collects what the commands of a package say with `--help`, for the catalogue that translates it."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import typer
from babel.messages import Catalog
from babel.messages.pofile import write_po

import simpul_agency.command.app
import simpul_agreement.commands
import simpul_cli.app
from simpul_schema.command_help import FRAME, help_texts

LOCALE: Final = Path("locale/id/LC_MESSAGES/help.po")


def _texts_of(app: typer.Typer) -> dict[str, None]:
    return dict.fromkeys((*FRAME, *help_texts(typer.main.get_command(app))))


def _agency() -> dict[str, None]:
    return _texts_of(simpul_agency.command.app.app)


def _agreement() -> dict[str, None]:
    return _texts_of(simpul_agreement.commands.app)


def _cli() -> dict[str, None]:
    """The texts of `simpul`; those that it takes from the agreement's commands are in that package's catalogue."""
    loaded: list[Any] = [simpul_cli.app.load_command(name) for name in simpul_cli.app.COMMANDS]
    found = _texts_of(simpul_cli.app.app) | dict.fromkeys(simpul_cli.app.COMMANDS.values())
    for command in loaded:
        found |= dict.fromkeys(help_texts(command))
    return {text: None for text in found if text in FRAME or text not in _agreement()}


TEXTS: Final[Mapping[str, Callable[[], Mapping[str, None]]]] = {
    "simpul_agency": _agency,
    "simpul_agreement": _agreement,
    "simpul_cli": _cli,
}
"""Package -> what returns its texts, in the order of its commands."""


def write_template(package: str) -> bytes:
    """Returns the texts of a package as a template for pybabel."""
    catalogue, output = Catalog(), BytesIO()
    for text in TEXTS[package]():
        catalogue.add(text)
    write_po(output, catalogue, width=120, omit_header=True)
    return output.getvalue()

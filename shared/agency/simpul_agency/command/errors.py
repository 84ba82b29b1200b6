"""How every command reads its settings and reports an error."""

from typing import NoReturn

import typer
from pydantic import ValidationError

from simpul_agency.command.files import SETTINGS_FILE
from simpul_agency.settings import AgencySettings


def refuse(reason: object) -> NoReturn:
    """Prints a reason and exits with 2."""
    typer.echo(str(reason), err=True)
    raise typer.Exit(2)


def load_settings() -> AgencySettings:
    """Reads the environment and the settings file; names the settings that are missing or wrong."""
    try:
        return AgencySettings()  # the environment has the rest
    except ValidationError as error:
        names = ", ".join(f"SIMPUL_AGENCY_{'_'.join(map(str, e['loc'])).upper()}" for e in error.errors())
        refuse(
            f"missing or wrong: {names}. Run this in the folder of {SETTINGS_FILE} (`simpul-agency join` writes it), "
            "or set them in the environment"
        )

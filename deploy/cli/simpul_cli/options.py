"""Options that several commands share, each with its environment variable."""

from pathlib import Path
from typing import Annotated

import typer

from simpul_schema.catalog import SERVICES

CityDir = Annotated[Path, typer.Option(envvar="SIMPUL_CITY_DIR", help="folder of the city", exists=True)]
Api = Annotated[str, typer.Option(envvar="SIMPUL_RABBITMQ_API", help="http://user:password@host:15672")]
Amqp = Annotated[str, typer.Option(envvar="SIMPUL_AMQP_URL", help="amqp://user:password@host:5672/")]
Database = Annotated[str, typer.Option(envvar="SIMPUL_DATABASE_URL", help="postgresql://... of one service")]
KEDIRI = Path("deploy/kediri")
SECRETS = Path("deploy/secrets")
DIRECTORY = Path("deploy/directory/directory.json")
Databases = Annotated[
    list[str] | None,
    typer.Option(
        "--database", envvar="SIMPUL_DATABASES", help="SERVICE=postgresql://...; repeatable, in the variable by spaces"
    ),
]


def read_databases(given: list[str] | None) -> dict[str, str]:
    """Reads the addresses of the services' databases; exits with 2 when one is written otherwise."""
    found = dict(entry.partition("=")[::2] for entry in given or ())
    for service, url in found.items():
        if service not in SERVICES or not url.startswith("postgresql://"):
            # Not the entry itself, which has a password.
            typer.echo(f"--database is SERVICE=postgresql://..., with SERVICE of {', '.join(SERVICES)}", err=True)
            raise typer.Exit(2)
    return found

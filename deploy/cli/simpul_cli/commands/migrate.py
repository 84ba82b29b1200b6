"""`simpul migrate`: brings a service's database to its newest revision."""

from typing import Annotated

import typer

from simpul_cli import databases
from simpul_cli.options import Database
from simpul_cli.servers import run_on_database
from simpul_schema.catalog import SERVICES

app = typer.Typer()


@app.command()
def migrate(service: Annotated[str, typer.Argument(help=", ".join(SERVICES))], database_url: Database) -> None:
    """Bring a service's database to its newest revision."""
    if service not in SERVICES:
        typer.echo(f"there is no service {service}; choose one of {', '.join(SERVICES)}", err=True)
        raise typer.Exit(2)
    run_on_database(database_url, databases.migrate_services({service: database_url}))
    typer.echo(f"{service}: up to date")

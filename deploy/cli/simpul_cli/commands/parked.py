"""`simpul parked`: messages set aside with a reason."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simpul_cli import parked
from simpul_cli.options import Database
from simpul_cli.servers import run_on_database

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def parked_list(database_url: Database) -> None:
    """List the parked messages of a service with reason and origin, never with their content."""
    rows = run_on_database(database_url, parked.list_parked(database_url))
    table = Table("digest", "reason", "detail", "key", "times")
    for row in rows:
        table.add_row(
            str(row["digest"])[:12], str(row["reason"]), str(row["detail"]), str(row["routing_key"]), str(row["times"])
        )
    Console(markup=False).print(table if rows else "nothing is parked")


@app.command("replay")
def parked_replay(
    database_url: Database, digest: Annotated[str, typer.Argument(help="start of a digest, or `all`")]
) -> None:
    """Let a service process parked messages again; completed effects are not repeated."""
    typer.echo(
        f"{run_on_database(database_url, parked.replay_parked(database_url, digest))} messages will be tried again"
    )

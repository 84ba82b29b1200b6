"""`simpul outbox`: what a service has published."""

from typing import Annotated

import typer

from simpul_cli import outbox
from simpul_cli.options import Database
from simpul_cli.servers import run_on_database
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES

app = typer.Typer(no_args_is_help=True)
# With one command only, Typer would drop the name of the command.
app.callback()(lambda: None)


@app.command("resend")
def outbox_resend(
    service: Annotated[str, typer.Argument(help=", ".join(SERVICES))],
    since: Annotated[str, typer.Option(help="90m, 2h or 3d ago, or a moment such as 2026-11-26T08:00+07:00")],
    database_url: Database,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count the messages")] = False,
) -> None:
    """Publish again what a service has published since a moment, after the broker lost messages.

    Receivers drop the copies of what they have already.
    """
    try:
        moment = outbox.moment_of(since, utc_now())
    except (ValueError, OverflowError):
        typer.echo(f"{since} is not a time; write 90m, 2h, 3d or 2026-11-26T08:00+07:00", err=True)
        raise typer.Exit(2) from None
    try:
        count = run_on_database(database_url, outbox.resend_published(database_url, service, moment, dry_run=dry_run))
    except outbox.WrongDatabase as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{count} messages of {service} {'would be' if dry_run else 'are'} published again")

"""`simpul backup pitr`: the whole server, restored to any second."""

from datetime import datetime
from typing import Annotated, Final, NoReturn

import typer

from simpul_cli.backup import point_in_time
from simpul_cli.backup.errors import BackupRefused
from simpul_cli.outbox import moment_of
from simpul_runtime.database import utc_now

app = typer.Typer(no_args_is_help=True, help="Restore to any second, where pgBackRest is installed next to PostgreSQL.")

DAMAGED: Final = 1
REFUSED: Final = 2
Stanza = Annotated[str, typer.Option(envvar="PGBACKREST_STANZA", help="name of the server in pgBackRest's settings")]


def _refuse(error: Exception) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(REFUSED) from None


def _describe(backup: point_in_time.ServerBackup) -> str:
    about = f"{backup.label} ({backup.kind}, {backup.size / 1e6:.0f} MB)"
    if not backup.is_of_this_server:
        return f"{about}, of a server that a later restore has left"
    return f"{about}, from {backup.finished_at:%Y-%m-%d %H:%M:%S %Z}"


@app.command("create")
def create(stanza: Stanza = "simpul") -> None:
    """Copy the server; what it writes from then on is archived, and every later second can be restored."""
    try:
        typer.echo(_describe(point_in_time.create_server_backup(stanza)))
    except BackupRefused as error:
        _refuse(error)


@app.command("list")
def list_all(stanza: Stanza = "simpul") -> None:
    """List the copies of the server, the newest last, each with the earliest second that it restores."""
    try:
        found = point_in_time.list_server_backups(stanza)
    except BackupRefused as error:
        _refuse(error)
    for backup in found:
        typer.echo(_describe(backup))
    if not found:
        typer.echo(f"there is no backup of {stanza}")


@app.command("verify")
def verify(stanza: Stanza = "simpul") -> None:
    """Read every file of the repository and compare it with its digest."""
    try:
        count = point_in_time.verify_server_backups(stanza)
    except BackupRefused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(DAMAGED) from None
    typer.echo(f"{count} backups are unchanged")


@app.command("restore")
def restore(
    to: Annotated[str, typer.Option(help="90m, 2h or 3d ago, or a moment such as 2026-11-26T08:00+07:00")],
    stanza: Stanza = "simpul",
) -> None:
    """Restore the server's files into its empty folder, with PostgreSQL stopped; it replays up to that second."""
    now = utc_now()
    try:
        used = point_in_time.restore_server(stanza, _read_moment(to, now), now)
    except BackupRefused as error:
        _refuse(error)
    typer.echo(f"{used.label} is restored; when PostgreSQL starts, it replays up to {to}")
    typer.echo(
        "next: start PostgreSQL, then `simpul backup pitr create`, because no copy made after that second leads to"
    )
    typer.echo("this server, `simpul reconcile --repair` and `simpul outbox resend routing --since 1d`")


def _read_moment(text: str, now: datetime) -> datetime:
    try:
        return moment_of(text, now)
    except (ValueError, OverflowError) as error:
        msg = f"{text} is not a time; write 90m, 2h, 3d or 2026-11-26T08:00+07:00"
        raise BackupRefused(msg) from error

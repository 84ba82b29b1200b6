"""`simpul backup`: backups are created, listed, verified, restored, and restored on trial."""

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City
from simpul_cli.backup import drill as drills
from simpul_cli.backup import recipient
from simpul_cli.backup.catalogue import delete_unfinished, find_backup, list_backups, list_unfinished, store_drill
from simpul_cli.backup.create import create_backup
from simpul_cli.backup.errors import BackupRefused
from simpul_cli.backup.restore import check_readable, read_definitions, restore_city
from simpul_cli.backup.secrets import unpack_secrets
from simpul_cli.commands import backup_pitr
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _
from simpul_cli.options import KEDIRI, Api, CityDir, Databases, read_databases
from simpul_cli.servers import run_on_database
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_schema.translations import preferred_language

app = typer.Typer(no_args_is_help=True)
app.add_typer(backup_pitr.app, name="pitr")

T = TypeVar("T")
FAILED: Final = 1
"""Exit code of a drill or a verification that found something."""
REFUSED: Final = 2

Folder = Annotated[Path, typer.Option("--backups", envvar="SIMPUL_BACKUP_DIR", help="folder of backups")]
Name = Annotated[str, typer.Argument(help="name of a backup, as `list` shows it, or `latest`")]
IdentityFile = Annotated[
    Path, typer.Option("--identity", envvar="SIMPUL_BACKUP_IDENTITY", help="the operator's private key")
]
Secrets = Annotated[Path | None, typer.Option(help="the archive of secrets, where it was moved elsewhere")]
BACKUPS: Final = Path("backups")


def _refuse(error: Exception) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(REFUSED) from None


def _run(databases: dict[str, str], work: Coroutine[Any, Any, T]) -> T:
    """Runs work on the databases; a refusal or a server that does not answer ends the command with its sentence."""
    try:
        return run_on_database(next(iter(databases.values())), work)
    except BackupRefused as error:
        _refuse(error)


def _complete(given: list[str] | None) -> dict[str, str]:
    databases = read_databases(given)
    missing = [service for service in SERVICES if service not in databases]
    if missing:
        typer.echo(f"name the databases of {', '.join(missing)} with --database or SIMPUL_DATABASES", err=True)
        raise typer.Exit(REFUSED)
    return databases


@app.command("key")
def create_key(
    to: Annotated[Path, typer.Option(help="new file for the private key; keep it off this machine")],
    backups: Folder = BACKUPS,
) -> None:
    """Create the operator's key: backups are encrypted to it, and only its private half opens them."""
    try:
        public = recipient.create_key(backups, to)
    except BackupRefused as error:
        _refuse(error)
    typer.echo(f"{public}\nmove {to} off this machine, and keep two copies: without it no backup can be read")


@app.command("create")
def create(
    api: Api,
    backups: Folder = BACKUPS,
    data: Annotated[
        Path | None, typer.Option(envvar="SIMPUL_DATA_DIR", help="folder of the city's data; without it no secrets")
    ] = None,
    databases: Databases = None,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Back up all databases at one moment, the broker's definitions and, in a file apart, the secrets."""
    urls, city = _complete(databases), City.read(city_dir).code
    made = _run(urls, create_backup(backups, urls, api, data=data, city=city, now=utc_now()))
    typer.echo(f"{made.name}: {len(urls)} databases at {made.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if made.manifest.secrets:
        typer.echo(f"next: copy {made.folder} and {made.path_of(made.manifest.secrets)} to two different places")


@app.command("list")
def list_all(
    backups: Folder = BACKUPS,
    remove_unfinished: Annotated[
        bool, typer.Option("--delete-unfinished", help="delete what interrupted backups left")
    ] = False,
) -> None:
    """List the backups, the newest last."""
    if remove_unfinished:
        typer.echo(f"{delete_unfinished(backups)} unfinished backups deleted")
    found = list_backups(backups)
    table = Table("name", "city", "databases", "MB", "secrets")
    for backup in found:
        size = sum(one.file.size for one in backup.manifest.databases.values()) / 1e6
        secrets = backup.manifest.secrets
        where = "-" if secrets is None else ("here" if backup.path_of(secrets).exists() else "elsewhere")
        table.add_row(backup.name, backup.manifest.city, str(len(backup.manifest.databases)), f"{size:.1f}", where)
    Console(markup=False).print(table if found else f"there is no backup in {backups}")
    for path in list_unfinished(backups):
        typer.echo(f"{path.name} was interrupted")


@app.command("verify")
def verify(name: Name = "latest", backups: Folder = BACKUPS, identity: IdentityFile | None = None) -> None:
    """Read every file of a backup and compare it with its digest; with the private key, decrypt it too."""
    try:
        backup = find_backup(backups, name)
        check_readable(backup)
        if identity:
            read_definitions(backup, recipient.read_identity(identity))
    except BackupRefused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None
    typer.echo(f"{backup.name}: every file is unchanged, and this version can restore it")


@app.command("restore")
def restore(
    name: Name,
    identity: IdentityFile,
    api: Api,
    backups: Folder = BACKUPS,
    databases: Databases = None,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Restore a backup into empty databases and a fresh broker; senders publish again what receivers lack."""
    urls, city = _complete(databases), City.read(city_dir)
    try:
        backup, key = find_backup(backups, name), recipient.read_identity(identity)
    except BackupRefused as error:
        _refuse(error)
    done = _run(urls, restore_city(backup, urls, api, city, key, utc_now()))
    for service, (before, after) in done.migrated.items():
        typer.echo(f"{service}: brought from revision {before} to {after}")
    for one in done.missing:
        typer.echo(f"{one.count} x {one.wire_name} of {one.sender} had not reached {one.receiver}: published again")
    typer.echo(
        f"{done.resent} events of the last day are published to agencies again; {done.users} broker users restored"
    )
    typer.echo("next: `deploy/up`, then `simpul doctor`")


@app.command("secrets")
def unpack(
    name: Name,
    identity: IdentityFile,
    to: Annotated[Path, typer.Option(help="folder for the city's data, which must not have any yet")],
    backups: Folder = BACKUPS,
    secrets: Secrets = None,
) -> None:
    """Unpack the secrets of a backup into the folder of a new machine."""
    try:
        backup = find_backup(backups, name)
        source = secrets or backup.folder.parent / f"secrets-{backup.name}.tar.age"
        parts = unpack_secrets(source, to, recipient.read_identity(identity))
    except BackupRefused as error:
        _refuse(error)
    typer.echo(f"{to}: {', '.join(parts)}")


@app.command("drill")
def drill(
    identity: IdentityFile,
    server: Annotated[
        str,
        typer.Option("--server", envvar="SIMPUL_POSTGRES_URL", help="postgresql://... of a superuser, for databases"),
    ],
    name: Name = "latest",
    backups: Folder = BACKUPS,
    secrets: Secrets = None,
) -> None:
    """Restore a backup on trial, compare it with what was backed up, print a report, and delete the copy.

    Exit code 1 when the restored city differs.
    """
    try:
        backup = find_backup(backups, name)
    except BackupRefused as error:
        _refuse(error)
    kept = secrets or (backup.path_of(backup.manifest.secrets) if backup.manifest.secrets else None)
    found = kept if kept and kept.exists() else None
    report = _run({"server": server}, drills.run_drill(backup, server, identity, secrets=found))
    now, language = utc_now(), preferred_language(os.environ)
    for message in _lines_of(report):
        typer.echo(message.in_language(language))
    typer.echo(str(store_drill(backups, now, drills.to_json(report, now))))
    raise typer.Exit(0 if report.passed else FAILED)


def _lines_of(report: drills.DrillReport) -> list[Message]:
    """Returns the printed report."""
    minutes = int(report.age.total_seconds() // 60)
    lines = [
        _("backup {name}, {minutes} minutes old", name=report.backup, minutes=minutes),
        _("restored and compared in {seconds} seconds", seconds=round(report.took.total_seconds(), 1)),
    ]
    for one in report.comparisons:
        if one.is_same:
            lines.append(
                _("{service} {name}: same ({value})", service=one.service, name=one.name, value=one.found[:40])
            )
        else:
            lines.append(
                _(
                    "{service} {name}: DIFFERENT, {expected} became {found}",
                    service=one.service,
                    name=one.name,
                    expected=one.expected,
                    found=one.found,
                )
            )
    for service, count in report.audit_problems.items():
        lines.append(_("{service} audit: {count} contradictions", service=service, count=count))
    lines.append(_("broker users in the backup: {count}", count=report.broker_users))
    if report.sealed_problems is None:
        lines.append(_("secrets: not here, so no sealed row was opened; name their file with --secrets"))
    else:
        lines += report.sealed_problems or [_("secrets: they open every sealed row")]
    lines.append(_("The drill has passed.") if report.passed else _("The drill has FAILED."))
    return lines

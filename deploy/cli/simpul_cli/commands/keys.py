"""`simpul keys`: keys of services and agencies."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from simpul_city import City
from simpul_cli import keys
from simpul_cli.options import DIRECTORY, KEDIRI, SECRETS, CityDir
from simpul_intake.vault import create_master_key
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory

app = typer.Typer(no_args_is_help=True)


@app.command("init")
def keys_init(
    folder: Path,
    all_agencies: Annotated[
        bool,
        typer.Option(
            "--all-agencies",
            help="create the agencies' private keys too, for tests and demonstrations; in a real city each agency "
            "creates its own with `simpul-agency init`",
        ),
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(help="file for the public keys of all parties; directory.json in the folder when omitted"),
    ] = None,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create the keys of every service, the directory of public keys and the vault's master key.

    Fails without writing anything when one of these files exists.
    """
    agencies = sorted(City.read(city_dir).agency_codes) if all_agencies else ()
    directory = directory or keys.directory_file(folder)
    try:
        count = keys.init_city(folder, (*SERVICES, *agencies), directory, utc_now(), create_master_key)
    except FileExistsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{count} key rings and vault.key in {folder}, {directory}; give each party its own file only")


KeyFolder = Annotated[
    Path, typer.Option("--folder", envvar="SIMPUL_SECRETS_DIR", help="folder of the services' key files")
]
PublicKeysFile = Annotated[
    Path | None, typer.Option("--directory", envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties")
]


def _directory_of(folder: Path, directory: Path | None) -> Path:
    in_folder = keys.directory_file(folder)
    return directory or (in_folder if in_folder.exists() else DIRECTORY)


@app.command("rotate")
def keys_rotate(
    services: Annotated[list[str] | None, typer.Argument(help="all services when omitted")] = None,
    folder: KeyFolder = SECRETS,
    directory: PublicKeysFile = None,
    overlap_days: Annotated[
        int, typer.Option(min=0, help="days until the old keys end; 0 after a theft: the new keys are valid at once")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the changes without making them")] = False,
) -> None:
    """Give services new keys; the old ones still decrypt what was sealed to them or stored."""
    chosen = list(dict.fromkeys(services or SERVICES))
    unknown = sorted(set(chosen) - set(SERVICES))
    if unknown:
        typer.echo(f"no service {', '.join(unknown)}; choose from {', '.join(SERVICES)}", err=True)
        raise typer.Exit(2)
    path, now = _directory_of(folder, directory), utc_now()
    try:
        rotations = keys.rotate_keys(folder, chosen, path, now, overlap=timedelta(days=overlap_days), dry_run=dry_run)
    except keys.NotRotated as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    _report_rotations(chosen, rotations, path, dry_run=dry_run)


def _report_rotations(
    chosen: Sequence[str], rotations: Sequence[keys.Rotation], directory: Path, *, dry_run: bool
) -> None:
    rotated = {rotation.party: rotation for rotation in rotations}
    for party in chosen:
        if party not in rotated:
            typer.echo(f"{party}: new keys exist and are not valid yet (`simpul keys list`); nothing was changed")
            continue
        rotation = rotated[party]
        begin, old = rotation.public.not_before, rotation.old_until
        since = f"from {begin:%Y-%m-%d %H:%M} UTC, the old ones until {old:%Y-%m-%d %H:%M} UTC" if old else "at once"
        typer.echo(f"{party}: new keys {'would be' if dry_run else 'are'} valid {since}")
    if rotations and not dry_run:
        when = "before the new keys are valid" if any(rotation.old_until for rotation in rotations) else "now"
        typer.echo(
            f"{when}: restart these services (docker compose restart {' '.join(rotated)}), back up their key files and "
            f"give every agency {directory}; deploy/README.md says how"
        )


@app.command("list")
def keys_list(folder: KeyFolder = SECRETS, directory: PublicKeysFile = None) -> None:
    """List every key of the directory with its party, id, state, validity and remaining days."""
    try:
        known = Directory.read(_directory_of(folder, directory))
    except (OSError, ValueError, KeyError) as error:
        typer.echo(f"{_directory_of(folder, directory)} cannot be read; name it with --directory", err=True)
        raise typer.Exit(2) from error
    table = Table("party", Column("key id", overflow="fold"), "state", "not before", "not after", "days left")
    for key in keys.list_keys(known, utc_now()):
        begin, end = f"{key.not_before:%Y-%m-%d}", f"{key.not_after:%Y-%m-%d}"
        table.add_row(key.party, key.keyid, key.state, begin, end, str(key.days_left))
    Console(markup=False).print(table)

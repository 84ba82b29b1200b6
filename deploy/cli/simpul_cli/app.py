"""The command `simpul`."""

import asyncio
import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from simpul_agency.broker_api import BrokerApi
from simpul_agency.enrolment import write_secret
from simpul_agreement.commands import app as agreement_app
from simpul_city import City
from simpul_cli import contract, databases, keys, parked, prepare, topology
from simpul_cli.agency import accounts
from simpul_cli.agency.certificates import Authority
from simpul_cli.agency.commands import app as agency_app
from simpul_cli.decided_cases import explain_case
from simpul_cli.options import DIRECTORY, KEDIRI, SECRETS, Amqp, Api, CityDir, Database
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_schema.names import DEAD, UNROUTED
from simpul_seal import Directory

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Simpul for operators.")
topology_app = typer.Typer(no_args_is_help=True, help="Exchanges, queues and policies of the broker.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of services and agencies.")
contract_app = typer.Typer(no_args_is_help=True, help="The published messages.")
tls_app = typer.Typer(no_args_is_help=True, help="Certificates for the broker's encrypted port.")
centre_app = typer.Typer(no_args_is_help=True, help="Tokens of complaint centres for intake.")
parked_app = typer.Typer(no_args_is_help=True, help="Messages set aside with a reason.")
agreement_group = typer.Typer(no_args_is_help=True, help=agreement_app.info.help)
agreement_group.add_typer(agreement_app)
agreement_group.command("explain-case")(explain_case)
app.add_typer(agreement_group, name="agreement")
for name, group in (
    ("topology", topology_app),
    ("agency", agency_app),
    ("keys", keys_app),
    ("tls", tls_app),
    ("contract", contract_app),
    ("centre", centre_app),
    ("parked", parked_app),
):
    app.add_typer(group, name=name)


@app.command("prepare")
def prepare_deployment(
    host: Annotated[list[str], typer.Option(help="name or address of the broker, as agencies reach it; repeatable")],
    root: Annotated[Path, typer.Option(help="folder of docker-compose.yml", exists=True)] = Path(),
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create what docker-compose.yml needs: keys, certificates and .env. Running it again replaces nothing."""
    for name in host:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
            typer.echo(f"{name!r} is not a host name; write it without scheme and port: broker.kota.example", err=True)
            raise typer.Exit(2)
    preparation = prepare.Preparation(root)
    try:
        made = {
            f"{preparation.secrets}, {preparation.directory}": preparation.create_keys(utc_now()),
            str(preparation.tls): preparation.create_certificates(City.read(city_dir).name, host, utc_now()),
            str(preparation.env): preparation.create_env(host[0]),
        }
    except (prepare.PartlyPrepared, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    for path, is_new in made.items():
        typer.echo(f"{path}: {'made' if is_new else 'kept'}")
    if os.geteuid() == 0:
        preparation.give_away()
    for uid, paths in preparation.owners().items():
        typer.echo(f"next: sudo chown {uid} {' '.join(map(str, paths))}")
    if waiting := preparation.open_values():
        typer.echo(f"next: fill in {', '.join(waiting)} in {preparation.env}")


@app.command()
def migrate(service: Annotated[str, typer.Argument(help=", ".join(SERVICES))], database_url: Database) -> None:
    """Bring a service's database to its newest revision."""
    if service not in SERVICES:
        typer.echo(f"there is no service {service}; choose one of {', '.join(SERVICES)}", err=True)
        raise typer.Exit(2)
    databases.migrate_service(service, database_url)
    typer.echo(f"{service}: up to date")


@topology_app.command("apply")
def topology_apply(api: Api, amqp_url: Amqp, city_dir: CityDir = KEDIRI) -> None:
    """Declare exchanges, queues, bindings and policies, and resend unrouted messages. Idempotent."""
    city = City.read(city_dir)
    sent = asyncio.run(topology.prepare_broker(api, amqp_url, city))
    typer.echo(f"topology applied for {len(city.agencies)} agencies; {sent} unrouted messages were sent again")


@topology_app.command("verify")
def topology_verify(api: Api, city_dir: CityDir = KEDIRI) -> None:
    """Compare the broker with the declaration; list each difference and exit 1 when there is one."""

    async def compare() -> list[str]:
        city = City.read(city_dir)
        async with BrokerApi(api) as broker:
            return [
                *await topology.differences(broker, topology.topology_of_city(city)),
                *await accounts.differences(broker, sorted(city.agency_codes)),
            ]

    found = asyncio.run(compare())
    for difference in found:
        typer.echo(difference)
    typer.echo("the broker holds what is declared" if not found else f"{len(found)} differences; run topology apply")
    raise typer.Exit(1 if found else 0)


@topology_app.command("resend")
def topology_resend(
    amqp_url: Amqp, queue: Annotated[str, typer.Argument(help=f"{UNROUTED} or {DEAD}")] = UNROUTED
) -> None:
    """Send the messages of the unrouted or the dead-letter queue again."""
    typer.echo(f"{asyncio.run(topology.resend(amqp_url, queue))} messages sent again")


@tls_app.command("init")
def tls_init(
    folder: Path,
    host: Annotated[list[str], typer.Option(help="name or address of the broker; repeatable")],
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create the city's certificate authority and the certificate of its broker."""
    now = utc_now()
    authority = Authority.create(City.read(city_dir).name, now)
    certificate, key = authority.for_broker(host, now)
    try:
        authority.write(folder)
        write_secret(folder / "broker.key", key)
    except FileExistsError as error:
        typer.echo(f"{error.filename} exists: an authority is never replaced; choose another folder", err=True)
        raise typer.Exit(2) from error
    (folder / "broker.pem").write_text(certificate)
    typer.echo(f"{folder}: authority.pem for everybody; broker.pem and broker.key for the broker; keep authority.key")


@keys_app.command("init")
def keys_init(
    folder: Path,
    services_only: Annotated[
        bool, typer.Option(help="agencies create their own keys with `simpul-agency init`")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(help="file for the public keys of all parties; directory.json in the folder when omitted"),
    ] = None,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create the keys of every service and agency, the directory of public keys and the vault's master key.

    Fails without writing anything when one of these files exists.
    """
    from simpul_intake.vault import create_master_key  # noqa: PLC0415 - only this command needs the vault

    agencies = () if services_only else (agency.code for agency in City.read(city_dir).agencies)
    directory = directory or keys.directory_file(folder)
    try:
        count = keys.init_city(folder, (*SERVICES, *agencies), directory, utc_now(), create_master_key)
    except FileExistsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{count} key rings and vault.key in {folder}, {directory}; give each party its own file only")


KeyFolder = Annotated[Path, typer.Option("--folder", help="folder of the services' key files")]
PublicKeysFile = Annotated[
    Path | None, typer.Option("--directory", envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties")
]


def _directory_of(folder: Path, directory: Path | None) -> Path:
    in_folder = keys.directory_file(folder)
    return directory or (in_folder if in_folder.exists() else DIRECTORY)


@keys_app.command("rotate")
def keys_rotate(
    services: Annotated[list[str] | None, typer.Argument(help="all services when omitted")] = None,
    folder: KeyFolder = SECRETS,
    directory: PublicKeysFile = None,
    overlap_days: Annotated[
        int, typer.Option(min=0, help="days until the old keys end; 0 after a theft: the new keys are valid at once")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the changes without making them")] = False,
) -> None:
    """Give services new keys; the old ones still open what was sealed to them or stored."""
    chosen = list(dict.fromkeys(services or SERVICES))
    unknown = sorted(set(chosen) - set(SERVICES))
    if unknown:
        typer.echo(f"no service {', '.join(unknown)}; choose from {', '.join(SERVICES)}", err=True)
        raise typer.Exit(2)
    path, now = _directory_of(folder, directory), utc_now()
    try:
        rotations = keys.rotate_keys(
            folder, chosen, path, now, overlap=timedelta(days=overlap_days), dry_run=dry_run
        )  # fmt: skip
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
            typer.echo(f"{party}: new keys wait for their day already (`simpul keys list`); nothing was changed")
            continue
        rotation = rotated[party]
        begin, old = rotation.public.not_before, rotation.old_until
        since = f"from {begin:%Y-%m-%d %H:%M} UTC, the old ones until {old:%Y-%m-%d %H:%M} UTC" if old else "at once"
        typer.echo(f"{party}: new keys {'would count' if dry_run else 'count'} {since}")
    if rotations and not dry_run:
        typer.echo(
            f"{'before the new keys count' if any(r.old_until for r in rotations) else 'now'}: restart these services "
            f"(docker compose restart {' '.join(rotated)}), back up their key files and give "
            f"every agency {directory}; deploy/README.md says how"
        )


@keys_app.command("list")
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
    Console().print(table)


@centre_app.command("add-token")
def centre_add_token(
    code: Annotated[str, typer.Argument(help="code of the complaint centre, as in its reports")],
    file: Annotated[Path, typer.Option(envvar="SIMPUL_CENTRE_TOKENS_FILE", help="file that intake reads")],
) -> None:
    """Issue a token to a complaint centre and print it once; the file stores only a digest."""
    from simpul_intake.centre_tokens import NoTokenFile, add_token  # noqa: PLC0415 - only this command needs intake

    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
        typer.echo(f"{code!r} is not a code: use lower-case letters, digits and hyphens", err=True)
        raise typer.Exit(2)
    try:
        typer.echo(add_token(file, code))
    except NoTokenFile as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contract_app.command("check")
def contract_check() -> None:
    """Fail on breaking changes, naming the consumers, and on schemas that are out of date."""
    published, current = contract.published_schemas(), contract.current_schemas()
    problems = contract.breaks(published, current)
    problems += [f"{name}: run `make schema`" for name in contract.stale(published, current)]
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(1 if problems else 0)


@contract_app.command("write")
def contract_write(event_page: Path = Path("docs/events.md")) -> None:
    """Write the JSON schemas and the table of events; refuses a breaking change."""
    problems = contract.write()
    for problem in problems:
        typer.echo(problem, err=True)
    if not problems and event_page.exists():
        event_page.write_text(contract.with_event_table(event_page.read_text()))
    raise typer.Exit(1 if problems else 0)


@parked_app.command("list")
def parked_list(database_url: Database) -> None:
    """List the parked messages of a service with reason and origin, never with their content."""
    rows = asyncio.run(parked.list_parked(database_url))
    table = Table("digest", "reason", "detail", "key", "times")
    for row in rows:
        table.add_row(
            str(row["digest"])[:12], str(row["reason"]), str(row["detail"]), str(row["routing_key"]), str(row["times"])
        )
    Console().print(table if rows else "nothing is parked")


@parked_app.command("replay")
def parked_replay(
    database_url: Database, digest: Annotated[str, typer.Argument(help="start of a digest, or `all`")]
) -> None:
    """Let a service process parked messages again; completed effects are not repeated."""
    typer.echo(f"{asyncio.run(parked.replay_parked(database_url, digest))} messages will be tried again")


def main() -> None:
    """Entry point."""
    app()

"""The command `simpul`."""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from simpul_agency.enrolment import write_secret
from simpul_agency.sandbox.management import BrokerApi
from simpul_cli import contract, databases, keys, parked, topology
from simpul_cli.agency import accounts
from simpul_cli.agency.certificates import Authority
from simpul_cli.agency.commands import app as agency_app
from simpul_cli.agreement.commands import app as agreement_app
from simpul_cli.options import KEDIRI, Amqp, Api, CityDir, Database
from simpul_runtime.city import City
from simpul_runtime.database import utc_now
from simpul_runtime.topology import DEAD, UNROUTED

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Simpul for operators.")
topology_app = typer.Typer(no_args_is_help=True, help="What the broker must hold.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of services and agencies.")
contract_app = typer.Typer(no_args_is_help=True, help="The published messages.")
tls_app = typer.Typer(no_args_is_help=True, help="Certificates for the broker's encrypted port.")
centre_app = typer.Typer(no_args_is_help=True, help="Complaint centres that intake knows by a token.")
parked_app = typer.Typer(no_args_is_help=True, help="Messages set aside with a reason.")
app.add_typer(agreement_app, name="agreement")
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


@app.command()
def demo(
    city_dir: CityDir = KEDIRI,
    folder: Annotated[Path, typer.Option(help="where its files go; emptied first")] = Path(".simpul/demo"),
    once: Annotated[bool, typer.Option(help="end by itself; exit 0 only if everything arrived")] = False,
    with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """The whole city on this machine, with invented reports."""
    from simpul_cli.backends import BackendsMissing  # noqa: PLC0415 - needs the extra `local`
    from simpul_cli.demo import show  # noqa: PLC0415
    from simpul_cli.local import NotStarted  # noqa: PLC0415

    try:
        code = show.run(folder.resolve(), city_dir.resolve(), once=once, with_parent=with_parent)
    except (BackendsMissing, NotStarted) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


@app.command(hidden=True)
def handset(folder: Path, web_port: int, smtp_port: int) -> None:
    """A simulated handset and mailbox, for the demo and the tests."""
    from simpul_cli.demo import handset as simulated  # noqa: PLC0415 - needs the extra `local`

    asyncio.run(simulated.serve(folder, web_port, smtp_port))


@app.command(hidden=True)
def agencies(
    city_dir: Path,
    key_folder: Path,
    ledger: Path,
    address_file: Annotated[Path, typer.Argument(help="the broker's address for each agency, as JSON")],
    accept: bool = True,
    only: Annotated[list[str] | None, typer.Option(help="code of an agency; all when left out")] = None,
) -> None:
    """Agencies' own consumers, in one process, for the demo and the tests."""
    from simpul_cli.demo import agencies as hosted  # noqa: PLC0415

    addresses = json.loads(address_file.read_text())
    uvloop.run(hosted.serve(city_dir, key_folder, addresses, ledger, accept=accept, only=only or ()))


@app.command()
def migrate(
    service: Annotated[str, typer.Argument(help="intake, routing, notify or desk")], database_url: Database
) -> None:
    """Bring a service's database to its newest revision."""
    if service not in databases.SERVICES:
        typer.echo(f"no service {service}; choose one of {', '.join(databases.SERVICES)}", err=True)
        raise typer.Exit(2)
    databases.migrate_service(service, database_url)
    typer.echo(f"{service}: up to date")


@topology_app.command("apply")
def topology_apply(api: Api, amqp_url: Amqp, city_dir: CityDir = KEDIRI) -> None:
    """Declare exchanges, queues, bindings and policies; send again what had found no queue. Changes nothing twice."""
    city = City.read(city_dir)
    sent = asyncio.run(topology.prepare_broker(api, amqp_url, city))
    typer.echo(
        f"topology applied for {len(city.agencies)} agencies; {sent} messages that had found no queue were sent again"
    )


@topology_app.command("verify")
def topology_verify(api: Api, city_dir: CityDir = KEDIRI) -> None:
    """Compare the broker with the declaration; exit 1 and name each difference if there is one."""

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
    """Send again what a last net holds."""
    typer.echo(f"{asyncio.run(topology.resend(amqp_url, queue))} messages sent again")


@tls_app.command("init")
def tls_init(
    folder: Path,
    host: Annotated[list[str], typer.Option(help="name or address of the broker; several times for several")],
    city_dir: CityDir = KEDIRI,
) -> None:
    """Make the city's certificate authority, and the certificate of its broker."""
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
    services_only: Annotated[bool, typer.Option(help="agencies make their own: `simpul-agency init`")] = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Make keys for every service and agency, the directory of public keys and the vault's master key."""
    from simpul_intake.vault import create_vault_key  # noqa: PLC0415 - only this command needs the vault

    agencies = () if services_only else (agency.code for agency in City.read(city_dir).agencies)
    parties = (*keys.SERVICES, *agencies)
    try:
        count = keys.create_keys(folder, parties, utc_now())
        create_vault_key(folder / "vault.key")
    except FileExistsError as error:
        typer.echo(f"{error}: keys are never replaced; choose another folder", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{count} key rings, directory.json and vault.key in {folder}; give each party its own file only")


@centre_app.command("add-token")
def centre_add_token(
    code: Annotated[str, typer.Argument(help="code of the complaint centre, as its reports name it")],
    file: Annotated[Path, typer.Option(envvar="SIMPUL_CENTRE_TOKENS_FILE", help="the file that intake reads")],
) -> None:
    """Issue a token to a complaint centre and print it once; the file keeps a digest only."""
    from simpul_intake.centre_tokens import add_token  # noqa: PLC0415 - only this command needs intake

    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
        typer.echo(f"{code!r} is not a code: use lower-case letters, digits and hyphens", err=True)
        raise typer.Exit(2)
    typer.echo(add_token(file, code))


@contract_app.command("check")
def contract_check() -> None:
    """Fail on a breaking difference, naming the consumers, and on schemas that were not written anew."""
    published, current = contract.published_schemas(), contract.current_schemas()
    problems = contract.breaks(published, current)
    problems += [f"{name}: run `make schema`" for name in contract.stale(published, current)]
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(1 if problems else 0)


@contract_app.command("write")
def contract_write(readme: Path = Path("README.md")) -> None:
    """Write the JSON schemas and the README's event table; refuses a breaking difference."""
    problems = contract.write()
    for problem in problems:
        typer.echo(problem, err=True)
    if not problems and readme.exists():
        readme.write_text(contract.with_event_table(readme.read_text()))
    raise typer.Exit(1 if problems else 0)


@parked_app.command("list")
def parked_list(database_url: Database) -> None:
    """Reason and origin of each parked message of a service; never its content."""
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
    """Let a service try parked messages again; what was done before is not done again."""
    typer.echo(f"{asyncio.run(parked.replay_parked(database_url, digest))} messages will be tried again")


def main() -> None:
    """Entry point."""
    app()

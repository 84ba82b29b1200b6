"""The command `simpul`."""

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from simpul_cli import accounts, contract, databases, keys, parked, topology
from simpul_cli.agreement.commands import app as agreement_app
from simpul_runtime.city import City
from simpul_runtime.database import utc_now
from simpul_runtime.topology import DEAD, UNROUTED, topology_of

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Simpul for operators.")
topology_app = typer.Typer(no_args_is_help=True, help="What the broker must hold.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of services and agencies.")
contract_app = typer.Typer(no_args_is_help=True, help="The published messages.")
agency_app = typer.Typer(no_args_is_help=True, help="Agencies on the city's broker.")
parked_app = typer.Typer(no_args_is_help=True, help="Messages set aside with a reason.")
app.add_typer(agreement_app, name="agreement")
for name, group in (
    ("topology", topology_app),
    ("agency", agency_app),
    ("keys", keys_app),
    ("contract", contract_app),
    ("parked", parked_app),
):
    app.add_typer(group, name=name)

CityDir = Annotated[Path, typer.Option(envvar="SIMPUL_CITY_DIR", help="folder of the city", exists=True)]
Api = Annotated[str, typer.Option(envvar="SIMPUL_RABBITMQ_API", help="http://user:password@host:15672")]
Amqp = Annotated[str, typer.Option(envvar="SIMPUL_AMQP_URL", help="amqp://user:password@host:5672/")]
Database = Annotated[str, typer.Option(envvar="SIMPUL_DATABASE_URL", help="postgresql://... of one service")]
KEDIRI = Path("deploy/kediri")


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
    codes = sorted(City.read(city_dir).agency_codes)
    sent = asyncio.run(topology.prepare_broker(api, amqp_url, codes))
    typer.echo(f"topology applied for {len(codes)} agencies; {sent} messages that had found no queue were sent again")


@topology_app.command("verify")
def topology_verify(api: Api, city_dir: CityDir = KEDIRI) -> None:
    """Compare the broker with the declaration; exit 1 and name each difference if there is one."""

    async def compare() -> list[str]:
        codes = sorted(City.read(city_dir).agency_codes)
        async with topology.BrokerApi(api) as broker:
            return [
                *await topology.differences(broker, topology_of(codes)),
                *await accounts.differences(broker, codes),
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


def _on_broker(api: str, work: Callable[[topology.BrokerApi], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with topology.BrokerApi(api) as broker:
            return await work(broker)

    return asyncio.run(run())


def _known(code: str, city_dir: Path) -> None:
    codes = City.read(city_dir).agency_codes
    if code not in codes:
        near = ", ".join(get_close_matches(code, codes)) or "see city.yaml"
        typer.echo(f"the city has no agency {code}; {near}", err=True)
        raise typer.Exit(2)


@agency_app.command("add")
def agency_add(
    code: str,
    api: Api,
    amqp_url: Amqp,
    to: Annotated[Path | None, typer.Option(help="new file for the broker's address, password included")] = None,
    renew: Annotated[bool, typer.Option(help="give it a new password")] = False,
    dry_run: Annotated[bool, typer.Option(help="only say what would change")] = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Give an agency its queue and account, or put them right; a suspended one may work again.

    Running it again changes nothing.
    """
    _known(code, city_dir)
    standing = _on_broker(api, lambda broker: accounts.standing_of(broker, code))
    needs_password = renew or standing.state is accounts.State.MISSING
    if dry_run:
        change = "no change" if standing.state is accounts.State.ACTIVE and not renew else "would become active"
        typer.echo(f"{code}: {standing.state.value}, {change}{', with a new password' if needs_password else ''}")
        return
    if needs_password and to is None:
        typer.echo("say with --to where the address with the password is to be written", err=True)
        raise typer.Exit(2)
    password = secrets.token_urlsafe(32) if needs_password else None
    if password and to:
        try:
            accounts.write_secret(to, accounts.address_for(amqp_url, code, password))
        except FileExistsError as error:
            typer.echo(f"{to} exists; choose another file", err=True)
            raise typer.Exit(2) from error
    _on_broker(api, lambda broker: accounts.add(broker, code, password))
    typer.echo(f"{code}: active" + (f"; give {to} to the agency as SIMPUL_AGENCY_AMQP_URL" if password else ""))


@agency_app.command("list")
def agency_list(api: Api, city_dir: CityDir = KEDIRI) -> None:
    """How every agency stands on the broker."""
    codes = sorted(City.read(city_dir).agency_codes)

    async def all_of(broker: topology.BrokerApi) -> list[accounts.Standing]:
        return [await accounts.standing_of(broker, code) for code in codes]

    table = Table("agency", "account", "connections", "consumers", "waiting")
    for one in _on_broker(api, all_of):
        numbers = (str(number) for number in (one.connections, one.consumers, one.messages))
        table.add_row(one.agency, one.state.value, *numbers)
    Console().print(table)


@agency_app.command("suspend")
def agency_suspend(code: str, api: Api, city_dir: CityDir = KEDIRI) -> None:
    """Let an agency do nothing until it is added again; its queue keeps what comes."""
    _known(code, city_dir)
    _on_broker(api, lambda broker: accounts.suspend(broker, code))
    typer.echo(f"{code}: suspended; `simpul agency add {code}` lets it work again")


@agency_app.command("remove")
def agency_remove(code: str, api: Api, amqp_url: Amqp) -> None:
    """Take an agency's account and queue away; refused while messages wait in it."""
    try:
        _on_broker(api, lambda broker: accounts.remove(broker, amqp_url, code))
    except accounts.QueueNotEmpty as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{code}: removed")


@keys_app.command("init")
def keys_init(folder: Path, city_dir: CityDir = KEDIRI) -> None:
    """Make keys for every service and agency, the directory of public keys and the vault's master key."""
    from simpul_intake.vault import create_vault_key  # noqa: PLC0415 - only this command needs the vault

    parties = (*keys.SERVICES, *(agency.code for agency in City.read(city_dir).agencies))
    try:
        count = keys.create_keys(folder, parties, utc_now())
        create_vault_key(folder / "vault.key")
    except FileExistsError as error:
        typer.echo(f"{error}: keys are never replaced; choose another folder", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{count} key rings, directory.json and vault.key in {folder}; give each party its own file only")


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

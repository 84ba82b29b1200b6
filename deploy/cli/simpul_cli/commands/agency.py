"""`simpul agency`: an agency's queues, broker user, permissions, keys and certificate."""

import json
import secrets
from collections.abc import Callable, Coroutine
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from simpul_agency.broker_api import BrokerApi
from simpul_agency.enrolment import EnrolmentRequest, EnrolmentResponse, write_json
from simpul_city import City
from simpul_cli.agency import accounts, bulk
from simpul_cli.agency.certificates import Authority, RequestRefused
from simpul_cli.agency.enrolment import NotEnrolled, end_keys, enrol, keys_of, read_enrolment
from simpul_cli.city_topology import build_agency_user, build_filtered_queue
from simpul_cli.options import KEDIRI, Amqp, Api, CityDir
from simpul_cli.servers import run_on_broker
from simpul_runtime.database import utc_now
from simpul_schema.names import agency_inbox, inbox_bindings
from simpul_seal import Directory

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)

DirectoryFile = Annotated[
    Path, typer.Option("--directory", envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties", exists=True)
]
EnrolmentFile = Annotated[
    Path | None,
    typer.Option("--enrolment", help="enrolment request of the agency, made by `simpul-agency init`", exists=True),
]
ResponseFile = Annotated[
    Path | None, typer.Option("--to", help="file to create: address, password, directory, certificate")
]
AuthorityDir = Annotated[
    Path | None,
    typer.Option("--authority", envvar="SIMPUL_AUTHORITY_DIR", help="folder of `simpul tls init`", exists=True),
]
Broker = Annotated[
    str | None,
    typer.Option("--broker", envvar="SIMPUL_AGENCY_BROKER", help="amqps://host:5671/ as agencies reach it"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show the changes without making them")]


def _on_broker(api: str, work: Callable[[BrokerApi], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with BrokerApi(api) as broker:
            return await work(broker)

    return run_on_broker(run(), api)


def _refuse(reason: object) -> NoReturn:
    typer.echo(str(reason), err=True)
    raise typer.Exit(2)


def _known(code: str, city_dir: Path) -> City:
    city = City.read(city_dir)
    if code not in city.agency_codes:
        near = ", ".join(get_close_matches(code, city.agency_codes)) or "see city.yaml"
        _refuse(f"the city has no agency {code}; {near}")
    return city


def _read(path: Path, city: City, code: str) -> EnrolmentRequest:
    try:
        return read_enrolment(path, city.code, code)
    except NotEnrolled as error:
        _refuse(error)


def _certificate(
    authority: Path | None, code: str, enrolment: EnrolmentRequest | None
) -> tuple[str | None, str | None]:
    """Returns the certificates of the agency and of the authority, in PEM; None without an authority."""
    if authority is None:
        return None, None
    signing = Authority.read(authority)
    try:
        signed = signing.for_agency(code, enrolment.certificate_request, utc_now()) if enrolment else None
    except RequestRefused as error:
        _refuse(error)
    return signed, signing.pem


def _write_response(path: Path, response: EnrolmentResponse) -> None:
    try:
        write_json(path, response)
    except FileExistsError:
        _refuse(f"{path} exists; choose another file")


@app.command("add")
def add(
    code: str,
    api: Api,
    amqp_url: Amqp,
    directory: DirectoryFile,
    enrolment_file: EnrolmentFile = None,
    to: ResponseFile = None,
    authority: AuthorityDir = None,
    broker_url: Broker = None,
    renew: Annotated[bool, typer.Option(help="give it a new password")] = False,
    dry_run: DryRun = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create or repair an agency's queues, broker user and directory entry; ends a suspension.

    Idempotent.
    """
    city = _known(code, city_dir)
    known = Directory.read(directory)
    enrolment = _read(enrolment_file, city, code) if enrolment_file else None
    after = enrol(known, enrolment.public_keys(), utc_now(), overlap=timedelta()) if enrolment else known
    standing = _on_broker(api, lambda broker: accounts.standing_of(broker, code))
    needs_password = renew or standing.state is accounts.State.MISSING
    if enrolment:
        typer.echo(f"fingerprint: {enrolment.public_keys().fingerprint} - compare it with the agency's screen")
    if dry_run:
        change = "no change" if standing.state is accounts.State.ACTIVE and not renew else "would become active"
        keys = ", its keys would be enrolled" if after is not known else ""
        typer.echo(f"{code}: {standing.state.value}, {change}{', with a new password' if needs_password else ''}{keys}")
        return
    if (needs_password or after is not known) and to is None:
        _refuse("name the file for the agency with --to")
    if not any(keys.is_valid_at(utc_now()) for keys in keys_of(after, code)):
        _refuse(f"{code} has no valid keys in {directory}; pass --enrolment with what `simpul-agency init` made there")
    password = secrets.token_urlsafe(32) if needs_password else None
    if to:
        url = SecretStr(accounts.address_for(broker_url or amqp_url, code, password)) if password else None
        certificate, recognised = _certificate(authority, code, enrolment)
        _write_response(
            to,
            EnrolmentResponse(
                city=city.code,
                agency=code,
                amqp_url=url,
                directory=after.to_json(),
                certificate=certificate,
                authority=recognised,
            ),
        )
    if after is not known:
        after.write(directory)
    _on_broker(api, lambda broker: accounts.add(broker, code, password, city.filtered_queues_of(code)))
    typer.echo(f"{code}: active" + (f"; give {to} to the agency and to nobody else" if to else ""))


@app.command("enrol")
def enrol_folder(
    folder: Annotated[Path, typer.Argument(help="folder of *.enrolment-request.json", exists=True, file_okay=False)],
    directory: DirectoryFile,
    compared: Annotated[
        bool, typer.Option("--compared", help="every fingerprint was compared with the agency by phone")
    ] = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Enrol the keys of all requests in a folder; needs no broker. `connect` then creates the broker users."""
    city, known = City.read(city_dir), Directory.read(directory)
    try:
        requests = [request for request in bulk.requests_in(folder, city, known) if not request.is_enrolled]
    except NotEnrolled as error:
        _refuse(error)
    for request in requests:
        typer.echo(f"{request.agency}: {request.fingerprint}")
    if requests and not compared:
        typer.confirm("Have you compared each of these with the agency by phone?", abort=True)
    bulk.enrol_all(known, requests, utc_now()).write(directory)
    typer.echo(f"{len(requests)} agencies enrolled")


@app.command("connect")
def connect_folder(
    folder: Annotated[Path, typer.Argument(help="folder of *.enrolment-request.json", exists=True, file_okay=False)],
    api: Api,
    directory: DirectoryFile,
    authority: Annotated[
        Path, typer.Option("--authority", envvar="SIMPUL_AUTHORITY_DIR", help="folder of the city's authority")
    ],
    broker_url: Annotated[
        str, typer.Option("--broker", envvar="SIMPUL_AGENCY_BROKER", help="amqps://host:5671/ as agencies reach it")
    ],
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create the broker user of every enrolled agency of a folder, and its response. Idempotent."""
    city, known, signing = City.read(city_dir), Directory.read(directory), Authority.read(authority)
    broker = bulk.Broker(api, broker_url)
    try:
        answered = run_on_broker(bulk.connect_all(folder, city, known, broker, signing, utc_now()), api)
    except (NotEnrolled, RequestRefused) as error:
        _refuse(error)
    for code in answered:
        typer.echo(f"{code}: give {folder / code}{bulk.RESPONSE} to the agency and to nobody else")


@app.command("list")
def list_all(api: Api, city_dir: CityDir = KEDIRI) -> None:
    """List the state of every agency on the broker."""
    codes = sorted(City.read(city_dir).agency_codes)

    async def all_of(broker: BrokerApi) -> list[accounts.Standing]:
        return [await accounts.standing_of(broker, code) for code in codes]

    table = Table("agency", "account", "connections", "consumers", "waiting")
    for one in _on_broker(api, all_of):
        numbers = (str(number) for number in (one.connections, one.consumers, one.messages))
        table.add_row(one.agency, one.state.value, *numbers)
    Console(markup=False).print(table)


@app.command("show")
def show(
    code: str,
    api: Api,
    directory: DirectoryFile,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show an agency's broker user, queues, permissions and keys."""
    city, now = _known(code, city_dir), utc_now()
    standing = _on_broker(api, lambda broker: accounts.standing_of(broker, code))
    account = build_agency_user(code, is_suspended=standing.state is accounts.State.SUSPENDED)
    found = {
        "agency": code,
        "account": standing.state.value,
        "connections": standing.connections,
        "consumers": standing.consumers,
        "waiting": standing.messages,
        "queues": {
            agency_inbox(code): list(inbox_bindings(code)),
            **{
                queue.name: [key for _, key in queue.bindings]
                for queue in map(build_filtered_queue, city.filtered_queues_of(code))
            },
        },
        "may_read": account.read,
        "may_publish": account.topics,
        "keys": [
            {
                "keyid": key.keyid,
                "valid": key.is_valid_at(now),
                "until": key.not_after.isoformat(timespec="minutes"),
                "fingerprint": key.fingerprint,
            }
            for key in keys_of(Directory.read(directory), code)
        ],
    }
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in found.items():
        table.add_row(name, value if isinstance(value, str) else json.dumps(value, indent=1))
    Console(markup=False).print(table)


@app.command("rotate-key")
def rotate_key(
    code: str,
    enrolment_file: Annotated[Path, typer.Option("--enrolment", help="of `simpul-agency rotate-key`", exists=True)],
    to: Annotated[Path, typer.Option("--to", help="new file for the agency, with the new directory")],
    directory: DirectoryFile,
    authority: AuthorityDir = None,
    overlap_days: Annotated[int, typer.Option(min=0, help="days until the old keys end; 0 after a theft")] = 7,
    dry_run: DryRun = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Enrol an agency's new keys, keep its old ones for a while, and renew its certificate."""
    city = _known(code, city_dir)
    enrolment, known = _read(enrolment_file, city, code), Directory.read(directory)
    after = enrol(known, enrolment.public_keys(), utc_now(), overlap=timedelta(days=overlap_days))
    typer.echo(f"fingerprint: {enrolment.public_keys().fingerprint} - compare it with the agency's screen")
    if after is known:
        typer.echo(f"{code}: these keys are enrolled already")
        return
    if dry_run:
        typer.echo(f"{code}: these keys would be enrolled; the others would end in {overlap_days} days")
        return
    certificate, recognised = _certificate(authority, code, enrolment)
    _write_response(
        to,
        EnrolmentResponse(
            city=city.code, agency=code, directory=after.to_json(), certificate=certificate, authority=recognised
        ),
    )
    after.write(directory)
    typer.echo(f"{code}: the new keys are valid now, the others end in {overlap_days} days; give {to} to the agency")


@app.command("suspend")
def suspend(code: str, api: Api, dry_run: DryRun = False, city_dir: CityDir = KEDIRI) -> None:
    """Suspend an agency until it is added again; its queue keeps new messages."""
    _known(code, city_dir)
    if dry_run:
        typer.echo(f"{code}: would be suspended, and its connections closed")
        return
    _on_broker(api, lambda broker: accounts.suspend(broker, code))
    typer.echo(f"{code}: suspended; `simpul agency add {code}` lets it work again")


@app.command("remove")
def remove(
    code: str, api: Api, amqp_url: Amqp, directory: DirectoryFile, dry_run: DryRun = False, city_dir: CityDir = KEDIRI
) -> None:
    """Delete an agency's broker user and queues and end its keys; refused while messages wait in its inbox."""
    if dry_run:
        standing = _on_broker(api, lambda broker: accounts.standing_of(broker, code))
        typer.echo(f"{code}: {standing.state.value}, {standing.messages} messages wait; would be removed if none do")
        return
    try:
        _on_broker(
            api, lambda broker: accounts.remove(broker, amqp_url, code, City.read(city_dir).filtered_queues_of(code))
        )
    except accounts.QueueNotEmpty as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    end_keys(Directory.read(directory), code, utc_now()).write(directory)
    typer.echo(f"{code}: removed; its keys have ended")

"""The command `simpul-agency`, for those who connect an agency to a city."""

import asyncio
import base64
import json
import logging
import secrets
import shlex
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional
from uuid import UUID

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.command.doctor import examine
from simpul_agency.command.files import SETTINGS, Files, FilesRefused
from simpul_agency.command.listening import QueueInUse
from simpul_agency.command.listening import listen as listen_to_queue
from simpul_agency.command.starters import LANGUAGES, StarterExists, write_starter
from simpul_agency.drivers import StoreMissing, driver_for
from simpul_agency.enrolment import Welcome
from simpul_agency.handoff import HandOffs, HandOffSettings
from simpul_agency.handoff.chosen import NothingChosen
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Store, StoreNewer
from simpul_agency.store.version import NEWEST

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False,
    help="Receive a city's referrals. Start with `sandbox up` to try, or with `init` to connect.",
)  # fmt: skip
sandbox_app = typer.Typer(no_args_is_help=True, help="A simulated city on this machine.")
app.add_typer(sandbox_app, name="sandbox")
console = Console()

Folder = Annotated[Path, typer.Option(help="where keys, settings and the local database are")]
HERE = Path()


def _refuse(words: object) -> NoReturn:
    typer.echo(str(words), err=True)
    raise typer.Exit(2)


def _settings() -> AgencySettings:
    """From the environment and the settings file; a clear word for what is missing."""
    try:
        return AgencySettings()  # the environment has the rest
    except ValidationError as error:
        names = ", ".join(f"SIMPUL_AGENCY_{'_'.join(map(str, e['loc'])).upper()}" for e in error.errors())
        _refuse(
            f"missing or wrong: {names}. Start this where {SETTINGS} is (`simpul-agency join` writes it), "
            "or set them in the environment"
        )


def _hand_off_settings() -> HandOffSettings:
    try:
        return HandOffSettings()
    except ValidationError as error:
        _refuse("; ".join(str(found["msg"]) for found in error.errors(include_input=False)))


@app.command()
def init(
    code: Annotated[str, typer.Argument(help="the agency's code in the city, such as dinsos-peksos")],
    city: Annotated[str, typer.Option(help="code of the city")] = "kediri",
    folder: Folder = HERE,
) -> None:
    """Make this agency's keys and settings, and say what to send to the city."""
    files = Files(folder)
    try:
        enrolment, public = files.init(city, code, datetime.now(timezone.utc))
    except FileExistsError as error:
        _refuse(f"{error.filename} exists: keys are never replaced; choose another --folder, or `rotate-key`")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    files.add_settings({"WEBHOOK_SECRET": secret})
    typer.echo(f"1. send {enrolment} to the city's operator; nothing in it is secret")
    typer.echo(f"2. compare on the phone: {public.fingerprint}")
    typer.echo(f"3. simpul-agency join <the file that comes back>, in {folder.resolve()}")


@app.command()
def join(
    welcome_file: Annotated[Path, typer.Argument(help="what the city sent back", exists=True)], folder: Folder = HERE
) -> None:
    """Put in place what the city sent: the account, everybody's public keys, certificates, a rotation's new keys."""
    try:
        done = Files(folder).join(Welcome.model_validate_json(welcome_file.read_text()))
    except (ValidationError, FilesRefused) as error:
        _refuse(error if isinstance(error, FilesRefused) else f"{welcome_file} is not a file of `simpul agency add`")
    for line in done:
        typer.echo(line)
    typer.echo("next: simpul-agency doctor, then simpul-agency run or a consumer of your own")


@app.command("rotate-key")
def rotate_key(folder: Folder = HERE) -> None:
    """Make the next keys; the present ones go on until `join` has the city's answer."""
    settings = _settings()
    try:
        enrolment, public = Files(folder).rotate(settings.city, settings.code, datetime.now(timezone.utc))
    except FileExistsError as error:
        _refuse(f"{error.filename} exists: a rotation is under way; `join` the city's answer, or remove that file")
    typer.echo(f"send {enrolment} to the city's operator, who runs `simpul agency rotate-key {settings.code}`")
    typer.echo(f"compare on the phone: {public.fingerprint}")


@app.command()
def doctor() -> None:
    """Look for what keeps this agency from receiving; exit 1 if something does."""
    settings = _settings()

    async def look() -> bool:
        is_well = True
        async for finding in examine(settings):
            mark, style = ("ok", "green") if not finding.problem else ("look" if finding.is_warning else "WRONG", "red")
            console.print(f"{mark:6}{finding.what}{': ' if finding.problem else ''}{finding.problem}", style=style)
            if finding.remedy:
                console.print(f"      {finding.remedy}")
            is_well = is_well and (not finding.problem or finding.is_warning)
        return is_well

    raise typer.Exit(0 if asyncio.run(look()) else 1)


@app.command()
def run() -> None:
    """Receive, and hand over as chosen in the settings: webhook, spool folder, table, program or local pages."""
    settings, hand_offs = _settings(), _hand_off_settings()
    _log_as_lines()
    try:
        agency = Agency.from_settings(settings)
        HandOffs(agency, hand_offs)
    except (NothingChosen, StoreMissing) as error:
        _refuse(error)
    except OSError as error:
        _refuse(f"{error.filename} cannot be read; `simpul-agency doctor` says more")
    if hand_offs.pages_port:
        typer.echo(f"http://127.0.0.1:{hand_offs.pages_port}/")
    agency.run()


@app.command()
def listen(
    raw: Annotated[bool, typer.Option(help="show each event as it is on the wire")] = False,
    most: Annotated[Optional[int], typer.Option(min=1, help="end after so many")] = None,
) -> None:
    """Show what waits and comes, in readable lines; everything stays in the queue."""
    settings = _settings()
    try:
        asyncio.run(listen_to_queue(settings, console, raw=raw, most=most))
    except QueueInUse as error:
        _refuse(error)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _in_store(work: Any) -> Any:
    async def run_in_store() -> Any:
        store = Store(driver_for(_settings().store_url))
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run_in_store())


@app.command()
def upgrade(
    dry_run: Annotated[bool, typer.Option(help="carry everything out, and take it back")] = False,
) -> None:
    """Bring the store to this program's version, as a consumer does when it starts; stop the consumer first."""

    async def bring_up_to_date() -> tuple[str, list[Any]]:
        store = Store(driver_for(_settings().store_url))
        await store.connect()
        try:
            return await store.version(), await store.upgrade(dry_run=dry_run)
        finally:
            await store.close()

    version, steps = asyncio.run(bring_up_to_date())
    for step in steps:
        typer.echo(f"{step.revision}: {step.title}")
    if not steps:
        typer.echo(f"the store has this program's version, {NEWEST}")
    elif dry_run:
        typer.echo(f"tried and taken back: the store still has {f'version {version}' if version else 'no tables'}")
    else:
        typer.echo(f"the store has version {NEWEST} now")


@app.command()
def parked() -> None:
    """What was set aside, with its reason; never its content."""
    found = _in_store(lambda store: store.parked())
    table = Table("name", "type", "reason")
    for one in found:
        table.add_row(one.name, one.type, one.reason)
    console.print(table if found else "nothing is parked")


@app.command()
def replay(name: Annotated[str, typer.Argument(help="as `parked` shows it, or `all`")]) -> None:
    """Read again what was set aside, once the cause is mended; stop the consumer before, and start it after."""
    agency = Agency.from_settings(_settings())

    async def read_again() -> int:
        await agency.store.open()
        try:
            names = [one.name for one in await agency.store.parked()] if name == "all" else [name]
            return sum([await agency.replay(one) for one in names])
        finally:
            await agency.store.close()

    count = asyncio.run(read_again())
    left = len(_in_store(lambda store: store.parked()))
    typer.echo(f"{count} read again, {left} parked now")
    raise typer.Exit(0 if count or name == "all" else 1)


@app.command()
def proof(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Prove that nothing was missed: every event in the city's accounts is here. Exit 1 if one is not."""
    standings = _in_store(lambda store: store.settle())
    now = time.time()
    is_whole = bool(standings) and all(city.hole is None and not city.is_silent(now) for city in standings)
    if as_json:
        typer.echo(json.dumps({
            "complete": is_whole,
            "sources": [
                {
                    "source": city.source, "sent": city.last_number, "here": city.settled, "missing": city.hole,
                    "accounted_at": _moment(city.issued_at), "is_silent": city.is_silent(now),
                }
                for city in standings
            ],
        }))  # fmt: skip
        raise typer.Exit(0 if is_whole else 1)
    for city in standings:
        if city.hole is not None:
            typer.echo(f"{city.source}: {city.hole[0]} to {city.hole[1]} are missing of {city.last_number}")
        else:
            typer.echo(f"{city.source}: all {city.last_number} events up to {_moment(city.issued_at)} are here")
        if city.is_silent(now):
            typer.echo(f"{city.source}: no account since then, though one was due")
    if not standings:
        typer.echo("no account has come yet; the consumer must have run for some minutes")
    raise typer.Exit(0 if is_whole else 1)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


@app.command()
def fhir(
    referral_id: Annotated[UUID, typer.Argument(help="as in the events, a UUID")],
) -> None:
    """Write a referral as a FHIR R4 bundle with the status codes of HL7's BSeR; it names no child."""
    agency = Agency.from_settings(_settings())

    async def export() -> dict[str, Any]:
        await agency.store.open()
        try:
            return await agency.fhir(referral_id)
        finally:
            await agency.store.close()

    try:
        typer.echo(json.dumps(asyncio.run(export()), indent=1, ensure_ascii=False))
    except ReferralUnknown as error:
        _refuse(error)


@app.command()
def new(
    to: Annotated[Path, typer.Argument(help="file or folder to write")],
    language: Annotated[str, typer.Option("--lang", help=", ".join(LANGUAGES))] = "python",
) -> None:
    """Write a consumer to start from."""
    try:
        typer.echo(write_starter(language, to))
    except (StarterExists, KeyError) as error:
        _refuse(error if isinstance(error, StarterExists) else f"no language {language}; choose {', '.join(LANGUAGES)}")


@sandbox_app.command("up")
def sandbox_up(
    code: Annotated[str, typer.Option("--as", help="the agency to be")] = "dinsos-peksos",
    folder: Annotated[Path, typer.Option(help="where its files go")] = Path("simpul-sandbox"),
    offers: Annotated[int, typer.Option(min=0, help="open referrals to begin with")] = 5,
) -> None:
    """A private broker and a simulated city with open referrals, until ended."""
    from simpul_agency.sandbox.process import BackendsMissing  # noqa: PLC0415 - most commands need no sandbox
    from simpul_agency.sandbox.serving import serve  # noqa: PLC0415 - as above

    try:
        asyncio.run(serve(folder, code, offers, typer.echo))
    except BackendsMissing as error:
        _refuse(error)


@app.command()
def trigger(
    what: Annotated[str, typer.Argument(help="such as referral.offered; `list` shows all")] = "list",
    scenario: Annotated[int, typer.Option(min=1, help="which invented child")] = 1,
    folder: Annotated[Path, typer.Option(help="of `sandbox up`")] = Path("simpul-sandbox"),
) -> None:
    """Have the simulated city say something."""
    from simpul_agency.sandbox.serving import TRIGGERS, NoSandbox, ask  # noqa: PLC0415 - most commands need no sandbox

    if what not in TRIGGERS:
        for name, words in TRIGGERS.items():
            typer.echo(f"{name:24} {words}")
        raise typer.Exit(0 if what == "list" else 2)
    try:
        typer.echo(asyncio.run(ask(folder, what, scenario)))
    except NoSandbox as error:
        _refuse(error)


@app.command()
def conform(
    command: Annotated[str, typer.Argument(help="starts the consumer, such as 'python consumer.py'")],
    only: Annotated[Optional[list[str]], typer.Option(help="a case; several times for several")] = None,
    report: Annotated[Optional[Path], typer.Option(help="folder for report.json and report.html")] = None,
    show_cases: Annotated[bool, typer.Option("--list", help="only list the cases")] = False,
) -> None:
    """Try a consumer in any language against a simulated city on a real broker; exit 1 unless it conforms."""
    from simpul_agency.conformance import CASES, run_cases  # noqa: PLC0415 - most commands need no cases
    from simpul_agency.sandbox.process import BackendsMissing  # noqa: PLC0415 - as above

    if show_cases:
        for case in CASES:
            typer.echo(f"{case.name:28} {case.requirement}")
        return
    unknown = set(only or ()) - {case.name for case in CASES}
    if unknown:
        _refuse(f"no case {', '.join(sorted(unknown))}; `simpul-agency conform x --list` shows all")
    try:
        outcome = asyncio.run(run_cases(shlex.split(command), only or [], console))
    except BackendsMissing as error:
        _refuse(error)
    if report:
        for path in outcome.write(report):
            typer.echo(path)
    raise typer.Exit(0 if outcome.conforms else 1)


def _log_as_lines() -> None:
    """JSON lines on standard output; the kit logs ids, codes, counts and reasons, and nothing else."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    )


def main() -> None:
    """Entry point."""
    try:
        app()
    except StoreNewer as error:
        typer.echo(str(error), err=True)
        sys.exit(2)

"""The command `simpul-agency`, for those who connect an agency to a city."""

import asyncio
import base64
import logging
import os
import secrets
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Final, Optional

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console

from simpul_agency.agency import Agency
from simpul_agency.command import audit_commands, capacity_command, sandbox_commands, store_commands
from simpul_agency.command.doctor import examine
from simpul_agency.command.errors import load_settings, refuse
from simpul_agency.command.files import SETTINGS_FILE, AgencyFiles, FilesMismatch
from simpul_agency.command.listen import QueueInUse, show_queue
from simpul_agency.command.starters import LANGUAGES, StarterExists, write_starter
from simpul_agency.command.unknown_settings import find_unknown_settings
from simpul_agency.connectors import ConnectorRunner, ConnectorSettings, NoConnectorConfigured
from simpul_agency.drivers import UnsupportedStore
from simpul_agency.enrolment import EnrolmentResponse
from simpul_agency.store import StoreNewer
from simpul_schema.command_help import run_command

Folder = Annotated[Path, typer.Option(help="folder of keys, settings and the local database")]
_WORKING_DIRECTORY: Final = Path()

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Receives a city's referrals. Begin with `sandbox up` to try it, or with `init` to connect an agency.",
)
console = Console(markup=False)
log = structlog.get_logger()


@app.command()
def init(
    code: Annotated[str, typer.Argument(help="the agency's code in the city, such as dinsos-peksos")],
    city: Annotated[str, typer.Option(help="code of the city")] = "kediri",
    folder: Folder = _WORKING_DIRECTORY,
) -> None:
    """Make the agency's keys and settings, and the enrolment request for the city."""
    files = AgencyFiles(folder)
    try:
        request, public = files.create_keys(city, code, datetime.now(timezone.utc))
    except FileExistsError as error:
        refuse(f"{error.filename} exists, and keys are never replaced: choose another --folder, or `rotate-key`")
    files.update_settings({"WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()})
    typer.echo(f"1. send {request} to the city's operator; nothing in it is secret")
    typer.echo(f"2. compare on the phone: {public.fingerprint}")
    typer.echo(f"3. simpul-agency join <the file that the city sends back>, in {folder.resolve()}")


@app.command()
def join(
    response_file: Annotated[Path, typer.Argument(help="the city's enrolment response", exists=True)],
    folder: Folder = _WORKING_DIRECTORY,
) -> None:
    """Apply the city's enrolment response: broker user, public keys, certificates, and the new keys of a rotation."""
    try:
        changes = AgencyFiles(folder).apply_response(EnrolmentResponse.model_validate_json(response_file.read_text()))
    except FilesMismatch as error:
        refuse(error)
    except ValidationError:
        refuse(f"{response_file} is not an enrolment response, which `simpul agency add` writes")
    for line in changes:
        typer.echo(line)
    typer.echo("next: simpul-agency doctor, then simpul-agency run or a consumer of your own")


@app.command("rotate-key")
def rotate_key(folder: Folder = _WORKING_DIRECTORY) -> None:
    """Make the next keys; the present ones stay in use until `join` has the city's response."""
    settings = load_settings()
    try:
        request, public = AgencyFiles(folder).rotate_keys(settings.city, settings.code, datetime.now(timezone.utc))
    except FileExistsError as error:
        refuse(f"{error.filename} exists: `join` the city's response to the last rotation, or remove that file")
    typer.echo(f"send {request} to the city's operator, who runs `simpul agency rotate-key {settings.code}`")
    typer.echo(f"compare on the phone: {public.fingerprint}")


@app.command()
def sign(
    request: Annotated[Path, typer.Argument(help="what the city sent to sign, with the document", exists=True)],
    folder: Folder = _WORKING_DIRECTORY,
    interim: Annotated[
        bool, typer.Option("--interim", help="as the hub: let the text decide before the other parties have signed")
    ] = False,
) -> None:
    """Sign the city's agreement with the agency's own key; the signature is a file for the city."""
    try:
        path, text = AgencyFiles(folder).sign_agreement(request, datetime.now(timezone.utc), is_interim=interim)
    except FilesMismatch as error:
        refuse(error)
    typer.echo(f"1. {text.version}: the last annex of the document prints {text.digest}")
    typer.echo(f"2. only if it does, send {path} to the city's operator; nothing in it is secret")


@app.command()
def doctor() -> None:
    """Check everything that this agency needs in order to receive; exit 1 if something is wrong."""
    settings = load_settings()

    async def report_findings() -> bool:
        is_well = True
        async for finding in examine(settings):
            if not finding.problem:
                mark, style = "ok", "green"
            else:
                mark, style = ("warn", "yellow") if finding.is_warning else ("FAIL", "red")
            console.print(f"{mark:6}{finding.name}{': ' if finding.problem else ''}{finding.problem}", style=style)
            if finding.remedy:
                console.print(f"      {finding.remedy}")
            is_well = is_well and (not finding.problem or finding.is_warning)
        return is_well

    raise typer.Exit(0 if asyncio.run(report_findings()) else 1)


@app.command()
def run() -> None:
    """Receive referrals, and pass them to the configured connectors: webhook, spool, table, program or web inbox."""
    settings, connectors = load_settings(), _load_connector_settings()
    _log_json_lines()
    for name, closest in find_unknown_settings(os.environ, Path(SETTINGS_FILE)).items():
        log.warning("setting_unknown", setting=name, closest=closest)
    try:
        agency = Agency.from_settings(settings)
        ConnectorRunner(agency, connectors)
    except (NoConnectorConfigured, UnsupportedStore) as error:
        refuse(error)
    except OSError as error:
        refuse(f"{error.filename} cannot be read: run `simpul-agency doctor` for the cause")
    if connectors.web_inbox_port:
        typer.echo(f"http://127.0.0.1:{connectors.web_inbox_port}/")
    agency.run()


@app.command()
def listen(
    raw: Annotated[bool, typer.Option(help="show each event as it is on the wire")] = False,
    limit: Annotated[Optional[int], typer.Option(min=1, help="end after this many messages")] = None,
) -> None:
    """Show the messages in the queue, one per line; all stay in the queue."""
    settings = load_settings()
    try:
        asyncio.run(show_queue(settings, console, raw=raw, limit=limit))
    except QueueInUse as error:
        refuse(error)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command()
def new(
    to: Annotated[Path, typer.Argument(help="file or folder to write")],
    language: Annotated[str, typer.Option("--lang", help=", ".join(LANGUAGES))] = "python",
) -> None:
    """Write a small consumer to start from."""
    try:
        typer.echo(write_starter(language, to))
    except StarterExists as error:
        refuse(error)
    except KeyError:
        refuse(f"there is no starter in {language}: choose {', '.join(LANGUAGES)}")


store_commands.add_commands(app)
audit_commands.add_commands(app)
capacity_command.add_commands(app)
sandbox_commands.add_commands(app)


def _load_connector_settings() -> ConnectorSettings:
    try:
        return ConnectorSettings()
    except ValidationError as error:
        details: list[Any] = error.errors(include_input=False)
        refuse("; ".join(str(one["msg"]) for one in details))


def _log_json_lines() -> None:
    """Logs JSON lines to standard output; the kit logs ids, codes, counts and reasons only."""
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
    """Runs the command."""
    try:
        run_command(typer.main.get_command(app), "simpul_agency")
    except StoreNewer as error:
        typer.echo(str(error), err=True)
        sys.exit(2)

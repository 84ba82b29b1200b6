"""`simpul doctor`: finds what is wrong with a running city."""

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from simpul_cli.broker_options import BrokerPasswords, read_broker_passwords
from simpul_cli.doctor.examination import Examination, examine
from simpul_cli.doctor.finding import Severity, exit_code
from simpul_cli.doctor.publishing import publish_examination
from simpul_cli.doctor.sources import Sources
from simpul_cli.languages import Message as _
from simpul_cli.options import KEDIRI, CityDir, Databases, read_databases
from simpul_cli.servers import run_on_database
from simpul_runtime.database import utc_now
from simpul_schema.translations import LANGUAGES, preferred_language

app = typer.Typer()


@app.command()
def doctor(
    city_dir: CityDir = KEDIRI,
    data: Annotated[
        Path | None, typer.Option(envvar="SIMPUL_DATA_DIR", help="folder of the city's data: secrets, tls, .env")
    ] = None,
    backups: Annotated[Path | None, typer.Option(envvar="SIMPUL_BACKUP_DIR", help="folder of backups")] = None,
    compose_file: Annotated[
        Path | None, typer.Option(envvar="SIMPUL_COMPOSE_FILE", help="docker-compose.yml, which names the settings")
    ] = None,
    databases: Databases = None,
    api: Annotated[str, typer.Option(envvar="SIMPUL_RABBITMQ_API", help="http://user:password@host:15672")] = "",
    broker_host: Annotated[
        str, typer.Option(envvar="SIMPUL_BROKER_TLS", help="host:port of the broker's TLS listener")
    ] = "",
    passwords: BrokerPasswords = "",
    publish: Annotated[
        bool, typer.Option("--publish", help="let the desk show it to operators and coordinators")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    language: Annotated[
        str | None, typer.Option(help=f"{' or '.join(LANGUAGES)}; of the environment when omitted")
    ] = None,
) -> None:
    """Find what is wrong with a city: each fault with its cause and the command that mends it.

    Exit code 0 without a fault, 1 with warnings only, 2 with a critical fault.
    """
    urls, users = read_databases(databases), read_broker_passwords(passwords)
    sources = Sources(city_dir, data, backups, compose_file, urls, api, broker_host, users)
    if publish and "desk" not in sources.databases:
        typer.echo("name the database of desk with --database or SIMPUL_DATABASES", err=True)
        raise typer.Exit(2)
    now = utc_now()
    with _quiet_clients():
        found = asyncio.run(examine(sources, now))
    chosen = language if language in LANGUAGES else preferred_language(os.environ)
    typer.echo(_as_json(found, chosen) if as_json else _as_text(found, chosen))
    if publish:
        # Last, because a database that is away is what the operator has to read of first.
        desk = sources.databases["desk"]
        run_on_database(desk, publish_examination(found, desk, now))
    raise typer.Exit(exit_code(found.findings))


@contextmanager
def _quiet_clients() -> Iterator[None]:
    """Keeps the clients of database and broker from logging what the doctor reports itself."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _as_json(found: Examination, language: str) -> str:
    findings = [
        {
            "code": finding.code,
            "severity": finding.severity.name.lower(),
            "cause": finding.cause.in_language(language),
            "remedy": finding.remedy,
        }
        for finding in found.findings
    ]
    return json.dumps({"findings": findings, "skipped": found.skipped}, indent=1, ensure_ascii=False)


def _as_text(found: Examination, language: str) -> str:
    names = {Severity.CRITICAL: _("critical"), Severity.WARNING: _("warning")}
    lines = []
    for finding in found.findings:
        severity = names[finding.severity].in_language(language)
        lines += [f"{severity:8} {finding.code}: {finding.cause.in_language(language)}", f"         {finding.remedy}"]
    if not lines:
        lines.append(_("No fault found.").in_language(language))
    if found.skipped:
        lines.append(_("Not examined: {areas}", areas=", ".join(found.skipped)).in_language(language))
    return "\n".join(lines)

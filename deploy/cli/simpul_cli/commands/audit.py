"""`simpul audit`: verifies, shows and exports the audit of a service, and collects signed heads as a witness."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from simpul_agreement.commands import Language, OutputLanguage
from simpul_cli.audit_views import AuditViews, entry_to_json
from simpul_cli.options import DIRECTORY, Database
from simpul_cli.servers import UNAVAILABLE, run_on_database
from simpul_runtime.audit import (
    AuditFilter,
    AuditPage,
    VerifiedAudit,
    find_entries,
    stream_entries,
    verify_audit,
)
from simpul_runtime.database import create_engine
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory, HeadNotSigned, SignedHead, read_heads

app = typer.Typer(no_args_is_help=True)

CONTRADICTED: Final = 1
"""Exit code when the audit contradicts itself or a signed head."""
REFUSED: Final = 2
_TIMEOUT: Final = 10
"""Seconds that a service has to answer with its head."""

Actor = Annotated[str, typer.Option(help="only entries of this account, agency or service")]
Action = Annotated[str, typer.Option(help="only this action; `vault.` shows all that begin so")]
Subject = Annotated[str, typer.Option(help="only entries about this, such as case/<id>")]
Since = Annotated[datetime | None, typer.Option(help="only entries from this moment on, UTC")]
Until = Annotated[datetime | None, typer.Option(help="only entries before this moment, UTC")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
WitnessFile = Annotated[
    Path | None, typer.Option("--witness", help="heads that an agency exported, or a file of `simpul audit witness`")
]
DirectoryFile = Annotated[Path, typer.Option("--directory", help="file with every party's public keys")]


@app.command("verify")
def verify(
    database_url: Database,
    witness: WitnessFile = None,
    service: Annotated[str, typer.Option(help="with --witness: the service whose heads count")] = "",
    directory: DirectoryFile = DIRECTORY,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
) -> None:
    """Verify that nothing in a service's audit was changed, deleted, moved or rewritten; names the first place.

    Exit code 0 when everything agrees, 1 when something contradicts.
    """
    if witness and service not in SERVICES:
        raise typer.BadParameter(", ".join(SERVICES), param_hint="--service")
    kept = _read_heads(witness, directory, language) if witness else []
    heads = [head for head in kept if head.service == service]
    verified = run_on_database(database_url, _verify(database_url, heads))
    if as_json:
        problems = [{"fault": one.fault.value, "position": one.position} for one in verified.problems]
        typer.echo(json.dumps({"entries": verified.entries, "witnessed_heads": len(heads), "problems": problems}))
    else:
        AuditViews(language).print_verified(verified, len(heads))
    if verified.problems:
        raise typer.Exit(CONTRADICTED)


@app.command("show")
def show(
    database_url: Database,
    actor: Actor = "",
    action: Action = "",
    subject: Subject = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="entries of a page")] = 50,
    after: Annotated[int, typer.Option(min=0, help="position that the page before printed")] = 0,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
) -> None:
    """Show entries, the oldest first, in pages with the total of what matches."""
    wanted = AuditFilter(actor, action, subject, _as_utc(since), _as_utc(until))
    page = run_on_database(database_url, _find(database_url, wanted, after, limit))
    if as_json:
        entries = [entry_to_json(entry) for entry in page.entries]
        typer.echo(json.dumps({"entries": entries, "total": page.total, "next_after": page.next_after}))
    else:
        AuditViews(language).print_page(page)


@app.command("export")
def export(
    database_url: Database,
    file: Annotated[Path, typer.Argument(help="JSON lines, one for each entry; must not exist")],
    actor: Actor = "",
    action: Action = "",
    subject: Subject = "",
    since: Since = None,
    until: Until = None,
    language: Language = OutputLanguage.ID,
) -> None:
    """Export every entry that matches, with its salt and hashes, so that others can verify it."""
    views = AuditViews(language)
    if file.exists():
        views.print_existing(file)
        raise typer.Exit(REFUSED)
    wanted = AuditFilter(actor, action, subject, _as_utc(since), _as_utc(until))
    views.print_exported(run_on_database(database_url, _export(database_url, wanted, file)), file)


@app.command("witness")
def witness_heads(
    urls: Annotated[list[str], typer.Argument(help="addresses of services, such as https://rujukan.kota.example")],
    file: Annotated[Path, typer.Option(help="file to which new heads are added")] = Path("audit-heads.jsonl"),
    directory: DirectoryFile = DIRECTORY,
    language: Language = OutputLanguage.ID,
) -> None:
    """Collect the signed heads of services; run it once an hour where the services cannot write.

    A service that rewrites its history later contradicts the heads in this file.
    """
    views = AuditViews(language)
    known = file.read_text().splitlines() if file.exists() else []
    added: list[SignedHead] = []
    failed = []
    for url in urls:
        try:
            answer = asyncio.run(_fetch_head(url))
            added += read_heads([answer], Directory.read(directory))
        except (OSError, TimeoutError, ValueError) as error:
            failed.append((url, type(error).__name__))
    lines = [line for head in added if (line := head.to_line()) not in known]
    with file.open("a") as opened:
        opened.writelines(f"{line}\n" for line in lines)
    views.print_witnessed(len(lines), file, failed)
    if failed:
        raise typer.Exit(UNAVAILABLE)


def _as_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _read_heads(file: Path, directory: Path, language: str) -> list[SignedHead]:
    try:
        return read_heads(file.read_text().splitlines(), Directory.read(directory))
    except HeadNotSigned as error:
        AuditViews(language).print_not_signed(file, int(str(error)))
        raise typer.Exit(REFUSED) from error


async def _verify(url: str, heads: Sequence[SignedHead]) -> VerifiedAudit:
    engine = create_engine(url, connections=2)
    try:
        async with engine.connect() as connection:
            return await verify_audit(connection, heads)
    finally:
        await engine.dispose()


async def _find(url: str, wanted: AuditFilter, after: int, limit: int) -> AuditPage:
    engine = create_engine(url, connections=2)
    try:
        async with engine.connect() as connection:
            return await find_entries(connection, wanted, after=after, limit=limit)
    finally:
        await engine.dispose()


async def _export(url: str, wanted: AuditFilter, file: Path) -> int:
    engine = create_engine(url, connections=2)
    count = 0
    try:
        async with engine.connect() as connection:
            with file.open("x") as opened:
                async for entry in stream_entries(connection, wanted):
                    opened.write(json.dumps(entry_to_json(entry)) + "\n")
                    count += 1
    finally:
        await engine.dispose()
    return count


async def _fetch_head(url: str) -> str:
    import aiohttp  # noqa: PLC0415 - slow to import, and only this command needs it

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.get(f"{url.rstrip('/')}/audit/head") as answer,
    ):
        return (await answer.text()).strip()

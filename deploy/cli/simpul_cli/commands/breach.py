"""`simpul breach`: the clock of a breach, whose data were reachable, and the notices of UU 27/2022 art. 46."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agreement.commands import Language, OutputLanguage
from simpul_city import City
from simpul_cli.breach_views import BreachViews
from simpul_cli.case_codes import IN_INTAKE, CaseArgument, find_case
from simpul_cli.commands.vault import VAULT_KEY, By, KeyFilePath
from simpul_cli.options import KEDIRI, CityDir, Database
from simpul_cli.servers import run_on_database
from simpul_intake.breach import BreachScope
from simpul_intake.errors import BreachUnknown, CaseNotBreached
from simpul_intake.use_cases import HandleBreaches
from simpul_intake.vault import KeyFile, MasterKeyFileInvalid, Vault
from simpul_runtime.database import create_engine, utc_now

app = typer.Typer(no_args_is_help=True)

T = TypeVar("T")
OVERDUE: Final = 1
"""Exit code of `list` when a notice is overdue."""
REFUSED: Final = 2

BreachId = Annotated[UUID, typer.Argument(metavar="BREACH", help="id that `simpul breach open` printed")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


@app.command("open")
def open_breach(
    database_url: Database,
    since: Annotated[datetime, typer.Option(help="from when on data could be read, UTC")],
    by: By,
    until: Annotated[datetime | None, typer.Option(help="until when, UTC; now when omitted")] = None,
    found_at: Annotated[datetime | None, typer.Option(help="when it was found, UTC; now when omitted")] = None,
    account: Annotated[list[str] | None, typer.Option(help="actor in the audit whose account was used")] = None,
    agency: Annotated[list[str] | None, typer.Option(help="code of an agency whose system was reached")] = None,
    whole_vault: Annotated[bool, typer.Option(help="the vault's database and its master key were reachable")] = False,
    audit_of: Annotated[list[str] | None, typer.Option(help="database of another service, such as routing")] = None,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Start the clock of 3 x 24 hours, and find in the audit whose data were reachable.

    `--database-url` is intake's; with an agency add routing's by `--audit-of`.
    """
    if not (account or agency or whole_vault):
        choices = "--account, --agency, --whole-vault"
        raise typer.BadParameter(choices, param_hint="name at least one of")
    now = utc_now()
    scope = BreachScope(
        _as_utc(since), _as_utc(until) if until else now, frozenset(account or ()), frozenset(agency or ()), whole_vault
    )

    async def work(engine: AsyncEngine) -> UUID:
        others = [create_engine(url, connections=1) for url in audit_of or ()]
        try:
            found = _as_utc(found_at) if found_at else now
            breaches = HandleBreaches(engine, City.read(city_dir))
            return (await breaches.open_breach(scope, found, by, others)).breach_id
        finally:
            for other in others:
                await other.dispose()

    breach_id = _run(database_url, work)
    _show(database_url, city_dir, breach_id, as_json, language)


@app.command("list")
def list_breaches(
    database_url: Database, as_json: AsJson = False, language: Language = OutputLanguage.ID, city_dir: CityDir = KEDIRI
) -> None:
    """List breaches, those that are due first; exit code 1 when a notice is overdue."""
    found = _run(database_url, lambda engine: HandleBreaches(engine, City.read(city_dir)).list_breaches())
    views = BreachViews(language, City.read(city_dir).zone, utc_now())
    if as_json:
        typer.echo(json.dumps([views.to_json(one) for one in found]))
    else:
        views.print_breaches(found)
    if any(views.is_overdue(one) for one in found):
        raise typer.Exit(OVERDUE)


@app.command("cases")
def list_cases(
    breach: BreachId,
    database_url: Database,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """List the cases of a breach with the sections that were reachable; shows nothing about the children."""
    found = _run(database_url, lambda engine: HandleBreaches(engine, City.read(city_dir)).list_cases(breach))
    views = BreachViews(language, City.read(city_dir).zone, utc_now())
    if as_json:
        typer.echo(json.dumps([views.case_to_json(one) for one in found]))
    else:
        views.print_cases(found)


@app.command("draft")
def draft_authority_notice(breach: BreachId, database_url: Database, city_dir: CityDir = KEDIRI) -> None:
    """Print the draft of the notice to the authority, in Bahasa Indonesia; it names no child."""
    typer.echo(
        _run(database_url, lambda engine: HandleBreaches(engine, City.read(city_dir)).draft_authority_notice(breach))
    )


@app.command("notice")
def draft_child_notice(
    breach: BreachId,
    case: CaseArgument,
    database_url: Database,
    by: By,
    file: KeyFilePath = VAULT_KEY,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Print the notice to one child, in Bahasa Indonesia, and the safe contact: the only way to give it.

    Reads the contact from the vault, which the audit records. Without a safe contact a person gives it in private.
    """
    try:
        vault = Vault(KeyFile(file))
    except MasterKeyFileInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error
    city, case_id = City.read(city_dir), find_case(database_url, case, IN_INTAKE)
    notice = _run(
        database_url, lambda engine: HandleBreaches(engine, city).draft_child_notice(breach, case_id, vault, by)
    )
    BreachViews(language, city.zone, utc_now()).print_notice(notice)


@app.command("given")
def record_notice(
    breach: BreachId,
    database_url: Database,
    by: By,
    case: Annotated[str, typer.Option(help="the case whose child was notified, by its code or id")] = "",
    authority: Annotated[bool, typer.Option("--authority", help="the authority was notified")] = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Record that a child, or the authority, was notified."""
    if bool(case) == authority:
        choices = "--case, --authority"
        raise typer.BadParameter(choices, param_hint="name exactly one of")

    case_id = find_case(database_url, case, IN_INTAKE) if case else None

    async def work(engine: AsyncEngine) -> None:
        breaches = HandleBreaches(engine, City.read(city_dir))
        if case_id:
            await breaches.record_child_notice(breach, case_id, by)
        else:
            await breaches.record_authority_notice(breach, by)

    _run(database_url, work)


def _show(database_url: str, city_dir: Path, breach_id: UUID, as_json: bool, language: str) -> None:
    city = City.read(city_dir)
    found = _run(database_url, lambda engine: HandleBreaches(engine, city).load_breach(breach_id))
    views = BreachViews(language, city.zone, utc_now())
    if as_json:
        typer.echo(json.dumps(views.to_json(found)))
    else:
        views.print_breaches([found])


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _run(database_url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        engine = create_engine(database_url, connections=2)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return run_on_database(database_url, run())
    except (BreachUnknown, CaseNotBreached) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error

"""`simpul agreement`: the commands of simpul-agreement, and `explain-case`, which reads routing's database."""

from pathlib import Path
from typing import Annotated

import typer

from simpul_agreement import digest_of
from simpul_agreement.commands import EveryClause, Language, OutputLanguage, VersionDir, read_version
from simpul_agreement.commands import app as agreement_app
from simpul_agreement.engine import Engines
from simpul_agreement.explain import Explanation, as_text
from simpul_cli.case_codes import IN_ROUTING, CaseArgument, find_case
from simpul_cli.options import Database
from simpul_cli.servers import run_on_database
from simpul_cli.stored_decisions import CaseNotFound, stored_decision
from simpul_seal import KeyRing

app = typer.Typer(no_args_is_help=True)
app.add_typer(agreement_app)


@app.command("explain-case")
def explain_case(
    version: VersionDir,
    case: CaseArgument,
    database_url: Database,
    key_file: Annotated[
        Path, typer.Option(envvar="SIMPUL_KEY_FILE", help="routing's private keys, which open its facts")
    ],
    language: Language = OutputLanguage.ID,
    every: EveryClause = False,
) -> None:
    """Explain the decision on a case, from the facts that routing stored."""
    agreement, city = read_version(version, language)
    case_id = find_case(database_url, case, IN_ROUTING)
    try:
        stored = run_on_database(database_url, stored_decision(database_url, case_id, KeyRing.read(key_file)))
    except (CaseNotFound, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if (stored.agreement, stored.digest) != (agreement.version, digest_of(version.resolve())):
        typer.echo(f"this case was decided by another text: {stored.agreement}, {stored.digest}", err=True)
        raise typer.Exit(2)
    engine = Engines(agreement).on(stored.decided_at.astimezone(city.zone).date())
    explanation = Explanation(agreement, engine, stored.facts.situation, stored.facts.origin, city)
    typer.echo(as_text(explanation, language, all_clauses=every))

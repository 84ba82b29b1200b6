"""`simpul agreement explain-case`: explains routing's decision on a case."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from simpul_agreement import digest_of
from simpul_agreement.commands import EveryClause, Language, OutputLanguage, VersionDir, read_version
from simpul_agreement.engine import Engines
from simpul_agreement.explain import Explanation, as_text
from simpul_cli.options import Database
from simpul_cli.stored_decisions import CaseNotFound, stored_decision
from simpul_seal import KeyRing


def explain_case(
    version: VersionDir,
    case: Annotated[UUID, typer.Argument(help="id of a decided case")],
    database_url: Database,
    key_file: Annotated[
        Path, typer.Option(envvar="SIMPUL_KEY_FILE", help="routing's private keys, which open its facts")
    ],
    language: Language = OutputLanguage.ID,
    every: EveryClause = False,
) -> None:
    """Explain the decision on a case, from the facts that routing stored."""
    agreement, city = read_version(version)
    try:
        stored = asyncio.run(stored_decision(database_url, case, KeyRing.read(key_file)))
    except (CaseNotFound, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if (stored.agreement, stored.digest) != (agreement.version, digest_of(version.resolve())):
        typer.echo(f"this case was decided by another text: {stored.agreement}, {stored.digest}", err=True)
        raise typer.Exit(2)
    engine = Engines(agreement).on(stored.decided_at.astimezone(city.zone).date())
    explanation = Explanation(agreement, engine, stored.facts.situation, stored.facts.origin, city)
    typer.echo(as_text(explanation, language, all_clauses=every))

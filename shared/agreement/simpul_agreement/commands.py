"""`simpul agreement`: check, explain, diff, simulate, render, sign, status, schema."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from ruamel.yaml.error import YAMLError

from simpul_agreement import AgreementInvalid, Proof, digest_of, read_agreement
from simpul_agreement.documents import FILES
from simpul_agreement.engine import Engines
from simpul_agreement.examples import read_situations
from simpul_agreement.explain import Explanation, as_text
from simpul_agreement.model import Agreement
from simpul_agreement.reports import ReportUnreadable, invented_year, read_report
from simpul_agreement.simulate import simulate
from simpul_agreement.versions import sign_version, signatories, standing_of
from simpul_city import City, CityInvalid
from simpul_schema.vocabulary import Urgency
from simpul_seal import Directory, KeyRing

app = typer.Typer(no_args_is_help=True, help="The agreement between the agencies: proven, explained, compared, signed.")

ReportFile = Annotated[Path, typer.Argument(help="a report as intake takes it, or facts, as JSON or YAML")]
SchemaDir = Annotated[Path, typer.Argument(help="where they go")]
VersionDir = Annotated[
    Path,
    typer.Argument(help="folder of one version, such as deploy/kediri/agreement/2026-11", exists=True, file_okay=False),
]


class Tongue(StrEnum):
    """The languages of the city."""

    ID = "id"
    EN = "en"


EveryClause = Annotated[bool, typer.Option("--all", help="also why each of the other clauses does not apply")]
Language = Annotated[Tongue, typer.Option(help="Bahasa Indonesia or English")]


def city_of(version: Path) -> City:
    """The city whose folder holds the version; ends with the reason when there is none."""
    folder = version.resolve().parent.parent
    try:
        return City.read(folder)
    except (OSError, UnicodeDecodeError, YAMLError, CityInvalid, KeyError, TypeError) as error:
        typer.echo(f"{folder} is no folder of a city: {error}", err=True)
        typer.echo("name a version's folder, such as deploy/kediri/agreement/2026-11", err=True)
        raise typer.Exit(2) from error


def read_version(version: Path) -> tuple[Agreement, City]:
    """A version and its city; ends with the findings where there are any."""
    city = city_of(version)
    try:
        return read_agreement(version.resolve(), city), city
    except AgreementInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Ends with the command that installs what an import inside the block lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f'{error.name} is not installed; run: pip install "simpul-agreement[{extra}]"', err=True)
        raise typer.Exit(2) from error


@app.command()
def check(version: VersionDir) -> None:
    """Prove a version complete; exit 0 and store the proof only when there is no finding at all."""
    with needing("prove"):
        from simpul_agreement.check import check_version  # noqa: PLC0415 - the solver takes long to load

    version = version.resolve()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, int] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done or total)  # type: ignore[arg-type]  # a task id is an int

        checked = check_version(version, city_of(version), tell)
    for finding in checked.findings:
        typer.echo(f"{finding}\n")
    if checked.proof is None:
        typer.echo(f"{len(checked.findings)} findings: {version.name} is not proven")
        raise typer.Exit(1)
    checked.proof.write(version)
    _tell_proof(checked.proof)


def _tell_proof(proof: Proof) -> None:
    typer.echo(
        f"{proof.version}: {proof.situations:,} situations, {proof.clauses} clauses, {proof.questions} questions put "
        f"to {' and '.join(proof.provers)}, which agree: 0 gaps, 0 overlaps, 0 dead clauses, "
        f"{len(proof.properties)} properties hold"
    )
    for name in proof.properties:
        typer.echo(f"  {name}")


@app.command()
def explain(
    version: VersionDir,
    report: ReportFile,
    language: Language = Tongue.ID,
    every: EveryClause = False,
) -> None:
    """Why a report is decided as it is, clause by clause, and the smallest change that would alter it."""
    agreement, city = read_version(version)
    day = datetime.now(city.zone).date()
    try:
        situation, origin = read_report(report, agreement, city)
    except (ReportUnreadable, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    explanation = Explanation(agreement, Engines(agreement).on(day), situation, origin, city)
    typer.echo(as_text(explanation, language, all_clauses=every))


@app.command()
def diff(old: VersionDir, new: VersionDir, language: Language = Tongue.ID) -> None:
    """Which situations, past referrals and agencies' work change from one version to another."""
    from simpul_agreement.compare import Comparison  # noqa: PLC0415 - loads a prover

    before, city = read_version(old)
    after, _ = read_version(new)
    comparison = Comparison(before, after, language)
    changes = list(comparison.changes())
    typer.echo(f"{before.version} -> {after.version}: {len(changes)} answers change")
    for change in changes:
        typer.echo(f"\n{' '.join(filter(None, change.topic))}: {change.situations:,} situations")
        typer.echo(f"  {change.where}\n    - {change.before}\n    + {change.after}")
    for words in comparison.beside():
        typer.echo(f"  {words}")
    compared = read_situations(new.resolve(), city)
    differing = list(comparison.referrals(compared))
    typer.echo(f"\n{len(differing)} of the {len(compared)} scenarios of {after.version} would be referred otherwise")
    for title, differences in differing:
        typer.echo(f"  {title}: {'; '.join(differences)}")
    work = comparison.work(list(invented_year(city, 2026, 1000, 1)))
    typer.echo("\nwork in a year of 1,000 invented reports:" if work else "\nnobody gains or loses work")
    for agency, (count, then) in work.items():
        typer.echo(f"  {agency}: {count} -> {then} ({then - count:+})")


@app.command(name="simulate")
def simulate_year(
    version: VersionDir,
    reports: Annotated[int, typer.Option(help="reports in the year", min=1, max=100_000)] = 1000,
    year: Annotated[int, typer.Option(help="which year")] = 2027,
    seed: Annotated[int, typer.Option(help="the same seed gives the same year")] = 1,
    picture: Annotated[Path, typer.Option(help="where the picture goes, as SVG")] = Path(".simpul/agreement-year.svg"),
) -> None:
    """A year of invented reports: load of each agency, deadlines met, escalations, as a table and a picture."""
    with needing("render"):
        from simpul_agreement.render import picture_of  # noqa: PLC0415 - loads the typesetter

    agreement, city = read_version(version)
    result = simulate(agreement, city, list(invented_year(city, year, reports, seed)), seed)
    names = ("agency", "referrals", "led", "p50", "p90", "in time", "50 %", "100 %", "200 %")
    table = Table(*(Column(name, no_wrap=True) for name in names))
    for code, load in result.rows():
        table.add_row(
            code, str(load.referrals), str(load.led), _minutes(load.median_minutes), _minutes(load.slow_minutes),
            f"{load.met_share:.0%}", str(load.reminded), str(load.escalated), str(load.to_the_top),
        )  # fmt: skip
    Console().print(table)
    shares = ", ".join(f"{urgency.value} {result.urgency[urgency]}" for urgency in Urgency)
    typer.echo(f"{result.reports} reports in {year}: {shares}")
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(picture_of(result, agreement, city))
    typer.echo(f"picture: {picture}")


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f}m" if minutes < 120 else f"{minutes / 60:.0f}h"


@app.command(name="render")
def render_document(
    version: VersionDir, out: Annotated[Path, typer.Option(help="folder for the files")] = Path(".simpul/agreement")
) -> None:
    """The document to sign: HTML and PDF, Bahasa Indonesia and English."""
    with needing("render"):
        from simpul_agreement.render import render  # noqa: PLC0415 - loads the typesetter

    agreement, city = read_version(version)
    for path in render(version.resolve(), agreement, city, out):
        typer.echo(str(path))


@app.command()
def sign(
    version: VersionDir,
    key_file: Annotated[list[Path], typer.Option(help="private keys of a party that signs; may be given again")],
) -> None:
    """Put a party's signature beside a proven version."""
    agreement, city = read_version(version)
    proof = Proof.read(version.resolve())
    if proof is None or not proof.is_of(agreement, digest_of(version.resolve())):
        typer.echo(f"{agreement.version} is not proven; run `simpul agreement check {version}` first", err=True)
        raise typer.Exit(1)
    wanted = set(signatories(agreement, city))
    for path in key_file:
        ring = KeyRing.read(path)
        if ring.party not in wanted:
            typer.echo(f"{ring.party} is no party that signs; these do: {', '.join(sorted(wanted))}", err=True)
            raise typer.Exit(2)
        typer.echo(str(sign_version(version.resolve(), ring, datetime.now(UTC))))


@app.command()
def status(
    version: VersionDir,
    directory_file: Annotated[Path, typer.Option(envvar="SIMPUL_DIRECTORY_FILE", help="everybody's public keys")],
) -> None:
    """How far a version has come from draft to active, and what it lacks."""
    agreement, city = read_version(version)
    standing = standing_of(version.resolve(), agreement, city, Directory.read(directory_file), datetime.now(UTC))
    typer.echo(f"{agreement.version}: {standing.state}")
    for lacking in standing.lacking:
        typer.echo(f"  {lacking}")


@app.command()
def schema(folder: SchemaDir = Path("deploy/kediri/agreement/schema")) -> None:
    """Write the JSON schemas of the YAML files, for an editor's completion."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / f"{name}.json").write_text(text)


def schemas() -> dict[str, str]:
    """The JSON schema of each kind of file."""
    return {
        name: json.dumps(form.model_json_schema(), indent=1, ensure_ascii=False) + "\n" for name, form in FILES.items()
    }


def main() -> None:
    """Entry point of `simpul-agreement`."""
    app()

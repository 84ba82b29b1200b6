"""The command group of `simpul-agreement` and `simpul agreement`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
from simpul_agreement.phrases import REPORTS, SCENARIOS
from simpul_agreement.reports import ReportUnreadable, invented_year, read_report, read_reports
from simpul_agreement.simulate import simulate
from simpul_agreement.versions import sign_version, signatories, standing_of
from simpul_city import City, CityInvalid
from simpul_schema.vocabulary import Urgency
from simpul_seal import Directory, KeyRing, generate

app = typer.Typer(
    no_args_is_help=True,
    # A traceback with local variables would show the facts of a report.
    pretty_exceptions_enable=False,
    help="The agreement between the agencies: proven, explained, compared, signed.",
)

ReportFile = Annotated[
    Path, typer.Argument(help="a report as posted to intake, or facts of the agreement; JSON or YAML")
]
SchemaDir = Annotated[Path, typer.Argument(help="folder for the schemas")]
VersionDir = Annotated[
    Path,
    typer.Argument(help="folder of a version, such as deploy/kediri/agreement/2026-11", exists=True, file_okay=False),
]


class OutputLanguage(StrEnum):
    """The languages of the city."""

    ID = "id"
    EN = "en"


EveryClause = Annotated[bool, typer.Option("--all", help="show also why each of the other clauses does not decide")]
Language = Annotated[OutputLanguage, typer.Option(help="Bahasa Indonesia or English")]


def city_of(version: Path) -> City:
    """The city whose folder contains the version; exits with the reason when it cannot be read."""
    folder = version.resolve().parent.parent
    try:
        return City.read(folder)
    except (OSError, UnicodeDecodeError, YAMLError, CityInvalid, KeyError, TypeError) as error:
        reason = "has no city.yaml" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        example = "deploy/kediri/agreement/2026-11"
        typer.echo(
            f"{folder} {reason}; pass the folder of a version inside a city's folder, such as {example}", err=True
        )
        raise typer.Exit(2) from error


def read_version(version: Path) -> tuple[Agreement, City]:
    """A version and its city; exits with the findings when the version is invalid."""
    city = city_of(version)
    try:
        return read_agreement(version.resolve(), city), city
    except AgreementInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Exits with the command that installs the missing extra when an import inside the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f'{error.name} is not installed; run: pip install "simpul-agreement[{extra}]"', err=True)
        raise typer.Exit(2) from error


@app.command()
def check(version: VersionDir) -> None:
    """Prove that a version is complete, and store the proof; exit 1 when there are findings."""
    with require_extra("prove"):
        from simpul_agreement.check import check_version  # noqa: PLC0415 - the solver takes long to load

    version = version.resolve()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, int] = {}

        def report_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done or total)  # type: ignore[arg-type]  # a task id is an int

        checked = check_version(version, city_of(version), report_progress)
    for finding in checked.findings:
        typer.echo(f"{finding}\n")
    if checked.proof is None:
        typer.echo(f"{len(checked.findings)} findings: {version.name} is not proven")
        raise typer.Exit(1)
    checked.proof.write(version)
    _print_proof(checked.proof)


def _print_proof(proof: Proof) -> None:
    typer.echo(
        f"{proof.version}: {proof.situations:,} situations, {proof.clauses} clauses, {proof.questions} questions, "
        f"answered alike by {' and '.join(proof.provers)}: 0 gaps, 0 overlaps, 0 dead clauses, "
        f"{len(proof.properties)} properties hold"
    )
    for name in proof.properties:
        typer.echo(f"  {name}")


@app.command()
def explain(
    version: VersionDir,
    report: ReportFile,
    language: Language = OutputLanguage.ID,
    every: EveryClause = False,
) -> None:
    """Explain the decision on a report, clause by clause, with the smallest changes that alter it."""
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
def diff(
    old: VersionDir,
    new: VersionDir,
    language: Language = OutputLanguage.ID,
    reports: Annotated[
        Path | None,
        typer.Option(help="YAML list of reports as posted to intake, to compare too", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Compare two versions: the situations they decide differently, the scenarios of the new one, the workloads."""
    from simpul_agreement.compare import Comparison  # noqa: PLC0415 - loads a prover

    before, city = read_version(old)
    after, _ = read_version(new)
    try:
        given = read_reports(reports, city) if reports else []
    except ReportUnreadable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    comparison = Comparison(before, after, language)
    typer.echo(comparison.describe_answers())
    scenarios = read_situations(new.resolve(), city)
    typer.echo(f"\n{comparison.describe_referrals(scenarios, SCENARIOS)}")
    if reports:
        situations = [(report.title, *report.situation(after)) for report in given]
        typer.echo(f"\n{comparison.describe_referrals(situations, REPORTS)}")
    typer.echo(f"\n{comparison.describe_workloads(list(invented_year(city, 2026, 1000, 1)))}")


@app.command(name="simulate")
def simulate_year(
    version: VersionDir,
    reports: Annotated[int, typer.Option(help="number of reports", min=1, max=100_000)] = 1000,
    year: Annotated[int, typer.Option(help="calendar year")] = 2027,
    seed: Annotated[int, typer.Option(help="the same seed gives the same year")] = 1,
    picture: Annotated[Path, typer.Option(help="file for the picture, SVG")] = Path(".simpul/agreement-year.svg"),
) -> None:
    """Simulate a year of invented reports: workload of each agency, deadlines met, escalations."""
    with require_extra("render"):
        from simpul_agreement.render import picture_of  # noqa: PLC0415 - loads the typesetter

    agreement, city = read_version(version)
    result = simulate(agreement, city, list(invented_year(city, year, reports, seed)), seed)
    names = ("agency", "referrals", "led", "p50", "p90", "in time", "50 %", "100 %", "200 %")
    table = Table(*(Column(name, no_wrap=True) for name in names))
    for code, load in result.rows():
        table.add_row(
            code, str(load.referrals), str(load.led), _minutes(load.median_minutes), _minutes(load.slow_minutes),
            f"{load.met_share:.0%}", str(load.reminded), str(load.escalated), str(load.twice_overdue),
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
    """Render the document to sign as HTML and PDF, in Bahasa Indonesia and English."""
    with require_extra("render"):
        from simpul_agreement.render import render  # noqa: PLC0415 - loads the typesetter

    agreement, city = read_version(version)
    for path in render(version.resolve(), agreement, city, out):
        typer.echo(str(path))


@app.command("create-key")
def create_key(
    party: Annotated[str, typer.Argument(help="code of a party that signs")],
    folder: Annotated[Path, typer.Option(help="folder for the private keys")] = Path(".simpul/keys"),
    directory_file: Annotated[
        Path | None, typer.Option(help="public keys of all parties; directory.json in the folder when omitted")
    ] = None,
    valid_days: Annotated[int, typer.Option(min=1, help="days until the keys expire")] = 365,
) -> None:
    """Create a party's private keys and add its public keys to the directory."""
    path, now = folder / f"{party}.key.json", datetime.now(UTC)
    directory_file = directory_file or folder / "directory.json"
    if path.exists():
        typer.echo(f"{path} exists and is never replaced; choose another folder", err=True)
        raise typer.Exit(2)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    known = Directory.read(directory_file).entries if directory_file.exists() else ()
    ring, public = generate(party, not_before=now, not_after=now + timedelta(days=valid_days))
    ring.write(path)
    Directory([*known, public]).write(directory_file)
    typer.echo(f"{path}: keep it secret; {directory_file}: give it to everybody")


@app.command()
def sign(
    version: VersionDir,
    key_file: Annotated[list[Path], typer.Option(help="private keys of a party that signs; repeatable")],
) -> None:
    """Sign a proven version for one or more parties."""
    agreement, city = read_version(version)
    proof = Proof.read(version.resolve())
    if proof is None or not proof.is_of(agreement, digest_of(version.resolve())):
        typer.echo(f"{agreement.version} is not proven; run `simpul agreement check {version}` first", err=True)
        raise typer.Exit(1)
    wanted = set(signatories(agreement, city))
    for path in key_file:
        ring = KeyRing.read(path)
        if ring.party not in wanted:
            typer.echo(
                f"{ring.party} does not sign this agreement; these parties do: {', '.join(sorted(wanted))}", err=True
            )
            raise typer.Exit(2)
        typer.echo(str(sign_version(version.resolve(), ring, datetime.now(UTC))))


@app.command()
def status(
    version: VersionDir,
    directory_file: Annotated[Path, typer.Option(envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties")],
) -> None:
    """Show the state of a version, from draft to active, and what it lacks."""
    agreement, city = read_version(version)
    standing = standing_of(version.resolve(), agreement, city, Directory.read(directory_file), datetime.now(UTC))
    typer.echo(f"{agreement.version}: {standing.state}")
    for lacking in standing.lacking:
        typer.echo(f"  {lacking}")


@app.command()
def schema(folder: SchemaDir = Path("deploy/kediri/agreement/schema")) -> None:
    """Write the JSON schemas with which an editor completes the YAML files."""
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

"""The command group of `simpul-agreement` and `simpul agreement`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from ruamel.yaml.error import YAMLError

from simpul_agreement import AgreementInvalid, Proof, digest_of, read_agreement
from simpul_agreement.document.contents import Form
from simpul_agreement.engine import Engines
from simpul_agreement.examples import read_situations
from simpul_agreement.explain import Explanation, as_text
from simpul_agreement.files import FILES
from simpul_agreement.files.values import YEARS
from simpul_agreement.findings import describe_findings
from simpul_agreement.languages import Message, format_count, join_all, translator
from simpul_agreement.model import Agreement
from simpul_agreement.properties import PROPERTIES
from simpul_agreement.reports import ReportUnreadable, invented_year, read_report, read_reports
from simpul_agreement.simulate import simulate
from simpul_agreement.versions import (
    HUB_KIND,
    SignatureRefused,
    State,
    sign_version,
    signatories,
    standing_of,
    store_signature,
    text_of,
)
from simpul_city import City, CityInvalid
from simpul_schema.command_help import run_command
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


def city_of(version: Path, language: str = OutputLanguage.ID) -> City:
    """The city whose folder contains the version; exits with the reason when it cannot be read."""
    _ = translator(language)
    folder, example = version.resolve().parent.parent, "deploy/kediri/agreement/2026-11"
    try:
        return City.read(folder)
    except FileNotFoundError as error:
        problem = _("{folder} has no {file}; pass the folder of a version inside a city's folder, such as {example}")
        typer.echo(problem.format(folder=folder, file=Path(error.filename).name, example=example), err=True)
        raise typer.Exit(2) from error
    except (OSError, UnicodeDecodeError, YAMLError, CityInvalid, KeyError, TypeError) as error:
        problem = _("The city in {folder} cannot be read: {error}")
        typer.echo(problem.format(folder=folder, error=error), err=True)
        raise typer.Exit(2) from error


def read_version(version: Path, language: str = OutputLanguage.ID) -> tuple[Agreement, City]:
    """A version and its city; exits with the findings when the version is invalid."""
    city = city_of(version, language)
    try:
        return read_agreement(version.resolve(), city), city
    except AgreementInvalid as error:
        _print_findings(error, language)
        raise typer.Exit(1) from error


def _print_findings(error: AgreementInvalid, language: str) -> None:
    for text in describe_findings(error.findings, language):
        typer.echo(text, err=True)


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Exits with the command that installs the missing extra when an import inside the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f'{error.name} is not installed; run: pip install "simpul-agreement[{extra}]"', err=True)
        raise typer.Exit(2) from error


@app.command()
def check(version: VersionDir, language: Language = OutputLanguage.ID) -> None:
    """Prove that a version is complete, and store the proof; exit 1 when there are findings."""
    _ = translator(language)
    with require_extra("prove"):
        from simpul_agreement.check import check_version  # noqa: PLC0415 - the solver takes long to load

    version = version.resolve()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, markup=False)) as progress:
        tasks: dict[Message, int] = {}

        def report_progress(step: Message, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step.in_language(language), total=total)
            progress.update(tasks[step], completed=done or total)  # type: ignore[arg-type]  # a task id is an int

        checked = check_version(version, city_of(version, language), report_progress)
    for text in describe_findings(checked.findings, language):
        typer.echo(f"{text}\n")
    if checked.proof is None:
        count = len(checked.findings)
        typer.echo(_("{count} findings: {version} is not proven").format(count=count, version=version.name))
        raise typer.Exit(1)
    checked.proof.write(version)
    _print_proof(checked.proof, language)


def _print_proof(proof: Proof, language: str) -> None:
    _ = translator(language)
    summary = _(
        "{version}: {situations} situations, {clauses} clauses, {questions} questions, answered alike by {provers}: "
        "0 gaps, 0 overlaps, 0 dead clauses, {properties} properties hold"
    )
    typer.echo(
        summary.format(
            version=proof.version,
            situations=format_count(proof.situations, language),
            clauses=proof.clauses,
            questions=proof.questions,
            provers=join_all(proof.provers, language),
            properties=len(proof.properties),
        )
    )
    for wanted in PROPERTIES:
        typer.echo(f"  {_(wanted.text)} ({wanted.name})")


@app.command()
def explain(
    version: VersionDir,
    report: ReportFile,
    language: Language = OutputLanguage.ID,
    every: EveryClause = False,
) -> None:
    """Explain the decision on a report, clause by clause, with the smallest changes that alter it."""
    agreement, city = read_version(version, language)
    day = datetime.now(city.zone).date()
    try:
        situation, origin = read_report(report, agreement, city)
    except ReportUnreadable as error:
        typer.echo(error.problem.in_language(language), err=True)
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
    from simpul_agreement.compare import REPORTS_DIFFER, SCENARIOS_DIFFER, Comparison  # noqa: PLC0415 - a prover

    before, city = read_version(old, language)
    after = read_version(new, language)[0]
    try:
        given = read_reports(reports, city) if reports else []
    except ReportUnreadable as error:
        typer.echo(error.problem.in_language(language), err=True)
        raise typer.Exit(2) from error
    comparison = Comparison(before, after, language)
    typer.echo(comparison.describe_answers())
    scenarios = read_situations(new.resolve(), city)
    typer.echo(f"\n{comparison.describe_referrals(scenarios, SCENARIOS_DIFFER)}")
    if reports:
        situations = [(report.title, *report.situation(after)) for report in given]
        typer.echo(f"\n{comparison.describe_referrals(situations, REPORTS_DIFFER)}")
    typer.echo(f"\n{comparison.describe_workloads(list(invented_year(city, 2026, 1000, 1)))}")


@app.command(name="simulate")
def simulate_year(
    version: VersionDir,
    reports: Annotated[int, typer.Option(help="number of reports", min=1, max=100_000)] = 1000,
    year: Annotated[int, typer.Option(help="calendar year", min=YEARS[0], max=YEARS[-1])] = 2027,
    seed: Annotated[int, typer.Option(help="the same seed gives the same year")] = 1,
    picture: Annotated[Path, typer.Option(help="file for the picture, SVG")] = Path(".simpul/agreement-year.svg"),
    csv: Annotated[Path | None, typer.Option(help="file for all figures, CSV")] = None,
    language: Language = OutputLanguage.ID,
) -> None:
    """Simulate a year of invented reports: referrals and messages by agency, case and night, deadlines, escalations."""
    with require_extra("render"):
        from simpul_agreement.render import picture_of  # noqa: PLC0415 - loads the typesetter
        from simpul_agreement.year_tables import describe_year, year_as_csv  # noqa: PLC0415 - for this command alone

    _ = translator(language)
    agreement, city = read_version(version, language)
    result = simulate(agreement, city, list(invented_year(city, year, reports, seed)), seed)
    for line in describe_year(result, language, Console().width):
        typer.echo(line)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(picture_of(result, agreement, city, language))
    typer.echo(_("picture: {file}").format(file=picture))
    if csv:
        csv.write_text(year_as_csv(result), encoding="utf-8")
        typer.echo(_("figures: {file}").format(file=csv))


@app.command(name="render")
def render_document(
    version: VersionDir,
    out: Annotated[Path, typer.Option(help="folder for the files")] = Path(".simpul/agreement"),
    form: Annotated[Form, typer.Option(help="a cooperation agreement, or a decree of the mayor")] = Form.AGREEMENT,
) -> None:
    """Render the document to sign as HTML and tagged PDF, in Bahasa Indonesia and English."""
    with require_extra("render"):
        from simpul_agreement.render import render  # noqa: PLC0415 - loads the typesetter

    agreement, city = read_version(version)
    try:
        paths = render(version.resolve(), agreement, city, out, form)
    except AgreementInvalid as error:
        _print_findings(error, OutputLanguage.ID)
        raise typer.Exit(1) from error
    for path in paths:
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
    interim: Annotated[
        bool, typer.Option("--interim", help="as the hub: let it decide before the other parties have signed")
    ] = False,
) -> None:
    """Sign a proven version for one or more parties."""
    agreement, city = _read_proven_version(version)
    wanted = set(signatories(agreement, city))
    typer.echo(f"{agreement.version} needs {len(wanted)} signatures", err=True)
    for path in key_file:
        ring = KeyRing.read(path)
        if ring.party not in wanted:
            typer.echo(
                f"{ring.party} does not sign this agreement; these parties do: {', '.join(sorted(wanted))}", err=True
            )
            raise typer.Exit(2)
        if interim and city.kinds[ring.party] != HUB_KIND:
            typer.echo(f"{ring.party} is not the hub; only the hub lets a version decide as interim", err=True)
            raise typer.Exit(2)
        typer.echo(str(sign_version(version.resolve(), ring, datetime.now(UTC))))
        if interim:
            typer.echo(str(sign_version(version.resolve(), ring, datetime.now(UTC), is_interim=True)))


@app.command()
def request(
    version: VersionDir,
    to: Annotated[Path, typer.Option(help="file for the parties, who sign it with `simpul-agency sign`")],
) -> None:
    """Write the file by which the parties sign a proven version on their own machines."""
    agreement, _ = _read_proven_version(version)
    text = text_of(version.resolve())
    titles = {language: agreement.title.in_language(language) for language in OutputLanguage}
    to.write_text(json.dumps(asdict(text) | {"title": titles}, indent=1, ensure_ascii=False) + "\n")
    typer.echo(f"{to}: send it to the parties with the document, whose last annex prints {text.digest}")


@app.command()
def collect(
    version: VersionDir,
    files: Annotated[list[Path], typer.Argument(help="signatures that parties sent", exists=True, dir_okay=False)],
    directory_file: Annotated[Path, typer.Option(envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties")],
) -> None:
    """Verify signatures that parties sent, and store those that count."""
    agreement, city = read_version(version)
    directory, refused = Directory.read(directory_file), 0
    for path in files:
        try:
            typer.echo(str(store_signature(version.resolve(), path.read_text(), agreement, city, directory)))
        except (SignatureRefused, UnicodeDecodeError) as error:
            typer.echo(f"{path}: {error}", err=True)
            refused += 1
    raise typer.Exit(1 if refused else 0)


def _read_proven_version(version: Path) -> tuple[Agreement, City]:
    agreement, city = read_version(version)
    proof = Proof.read(version.resolve())
    if proof is None or not proof.is_of(agreement, digest_of(version.resolve())):
        typer.echo(f"{agreement.version} is not proven; run `simpul agreement check {version}` first", err=True)
        raise typer.Exit(1)
    return agreement, city


@app.command()
def status(
    version: VersionDir,
    directory_file: Annotated[Path, typer.Option(envvar="SIMPUL_DIRECTORY_FILE", help="public keys of all parties")],
) -> None:
    """Show the state of a version, from draft to active, and what it lacks."""
    agreement, city = read_version(version)
    standing = standing_of(version.resolve(), agreement, city, Directory.read(directory_file), datetime.now(UTC))
    typer.echo(f"{agreement.version}: {standing.state}, {standing.signed} of {standing.needed} signatures")
    if standing.state is State.INTERIM:
        typer.echo("  it decides on the signature of the hub alone, until every party has signed")
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
    run_command(typer.main.get_command(app), "simpul_agreement")

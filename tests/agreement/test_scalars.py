# ruff: noqa: E501 - one case on one line reads best
"""The check locates every unreadable value, suggests a remedy and never crashes."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from simpul_agreement import Finding
from simpul_agreement.examples import example_findings, read_scenarios, scenario_findings
from simpul_agreement.files import AgreementFile, ClausesFile, ScenariosFile
from simpul_agreement.model import Agreement, Clause, Where
from simpul_agreement.phrases import clause_sentence, describe_source
from simpul_agreement.reading import read_agreement, read_document, read_with_findings
from simpul_cli.app import app
from tests.agreement.conftest import Edit
from tests.support.agreements import CITY, KEDIRI, VERSION, kediri

HEAD, ESCALATION, PROTECTION, SCENARIOS = (
    "agreement.yaml",
    "clauses/80-escalation-retention.yaml",
    "clauses/60-protection.yaml",
    "scenarios.yaml",
)
READ = "read: 2026-11-24"
DAY = "write year-month-day, from 2000 to 2199, such as 2026-12-25"
MOMENT = "write date, time and zone, such as 2026-12-01T00:00:00+07:00"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kediri with one chapter of some files and two scenarios, so that it is read in milliseconds."""
    city = Path(shutil.copytree(KEDIRI, tmp_path_factory.mktemp("small") / "kediri"))
    version = city / "agreement" / "2026-11"
    for path in (version / "clauses").glob("*.yaml"):
        path.unlink()
    for name in ("60-protection", "20-clocks", "80-escalation-retention", "30-prompt-response"):
        top, *chapters = (VERSION / "clauses" / f"{name}.yaml").read_text().split("  - chapter: ")
        kept = chapters[-1] if name.startswith("80") else chapters[0]
        (version / "clauses" / f"{name}.yaml").write_text(f"{top}  - chapter: {kept}")
    scenarios = (VERSION / SCENARIOS).read_text().split("  - scenario: ")
    (version / SCENARIOS).write_text("  - scenario: ".join(scenarios[:3]))
    return version


@pytest.fixture
def version(small: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(small.parents[1], tmp_path / "kediri")) / "agreement" / "2026-11"


def found(version: Path) -> list[str]:
    findings = read_with_findings(version, CITY)[1]
    read_scenarios(version, findings)
    return [str(finding) for finding in findings]


@pytest.mark.parametrize(
    ("file", "old", "new", "problem", "remedy"),
    [
        (HEAD, "2026-12-25", "2026-13-25", "holidays: 2026-13-25 is not a date", DAY),
        (HEAD, "2026-12-25", "2026-02-30", "holidays: 2026-02-30 is not a date", DAY),
        (HEAD, "2026-12-25", "0000-01-01", "holidays: 0000-01-01 is not a date", DAY),
        (HEAD, "2026-12-25", "1999-12-31", "holidays: 1999-12-31 is not a date", DAY),
        (HEAD, "2026-12-25", "10000-01-01", "holidays: 10000-01-01 is not a date", DAY),
        (HEAD, "2026-12-25", "25-12-2026", "holidays: 25-12-2026 is not a date", DAY),
        (HEAD, "2026-12-25", "2026-W52-5", "holidays: 2026-W52-5 is not a date", DAY),
        (HEAD, "2026-12-25", "20261225", "holidays: 20261225 is not a date", DAY),
        (HEAD, "2026-12-25", "86400", "holidays: 86400 is not a date", DAY),
        (HEAD, "2026-12-25", "null", "holidays: null is not a date", DAY),
        (HEAD, "2026-12-25", "true", "holidays: true is not a date", DAY),
        (HEAD, "2026-12-25", "2026-12-25T10:00:00Z", "holidays: 2026-12-25T10:00:00Z is not a date", DAY),
        (HEAD, "holidays: [", "holidays: 2026-12-25 #", "holidays is not a list", "square brackets"),
        (PROTECTION, READ, "read: 2026-13-25", "read: 2026-13-25 is not a date", DAY),
        (PROTECTION, "then: {mediation: locked}", "then: {mediation: locked}\n        valid_until: 2026-02-29", "valid_until: 2026-02-29 is not a date", DAY),
        (HEAD, "    kind: police", "    kind: police\n    valid_from: 2026-06-31", "valid_from: 2026-06-31 is not a date", DAY),
        (HEAD, "2026-11-24T00:00:00+07:00", "2026-11-24T25:00:00+07:00", "active_from: 2026-11-24T25:00:00+07:00 is not a time with a zone", MOMENT),
        (HEAD, "2026-11-24T00:00:00+07:00", "2026-13-24T00:00:00+07:00", "active_from: 2026-13-24T00:00:00+07:00 is not a time with a zone", MOMENT),
        (HEAD, "2026-11-24T00:00:00+07:00", "2026-11-24T00:00:00", "active_from: 2026-11-24T00:00:00 is not a time with a zone", MOMENT),
        (HEAD, "2026-11-24T00:00:00+07:00", "2026-11-24", "active_from: 2026-11-24 is not a time with a zone", MOMENT),
        (HEAD, "2026-11-24T00:00:00+07:00", "1795449600", "active_from: 1795449600 is not a time with a zone", MOMENT),
        (HEAD, "2026-11-24T00:00:00+07:00", "0001-01-01T00:00:00+07:00", "active_from: 0001-01-01T00:00:00+07:00 is not a time with a zone", MOMENT),
        (HEAD, 'from: "15:30"', 'from: "25:00"', "from: 25:00 is not a time of day", "write 00:00 to 23:59 in quotes"),
        (HEAD, 'from: "15:30"', 'from: "15:60"', "from: 15:60 is not a time of day", "write 00:00 to 23:59 in quotes"),
        (HEAD, 'until: "22:00"', 'until: "24:00"', "until: 24:00 is not a time of day", "write 00:00 to 23:59 in quotes"),
        (HEAD, 'until: "22:00"', "until: 2200", "until: 2200 is not a time of day", "write 00:00 to 23:59 in quotes"),
        (HEAD, 'until: "22:00"', 'until: "\uff12\uff12:00"', "is not a time of day", "write 00:00 to 23:59 in quotes"),
        (ESCALATION, "years: 5", "years: 999999999999999999999", "years is more than 100", "write at most 100"),
        (ESCALATION, "years: 5", f"years: {'9' * 5000}", "years: a text of 5,000 characters", "write at most 2,000"),
        (ESCALATION, "years: 5", "years: 0", "years is less than 1", "write at least 1"),
        (ESCALATION, "years: 5", "years: true", "years is not a whole number", "write a whole number, without quotes"),
        (ESCALATION, "years: 5", "years: .inf", "years is not a whole number", "write a whole number"),
        (ESCALATION, "years: 5", "years: !!int many", "years is not a whole number", "write a whole number"),
        (ESCALATION, "years: 5", "years: !!bool many", "years is not a whole number", "write a whole number"),
        (ESCALATION, "years: 5", "years: !!float 'many'", "a tag is not allowed", "indent"),
        (ESCALATION, "years: 5", "years: !years 25", "a tag is not allowed", "indent"),
        (SCENARIOS, "answer: {hours: 6}", "answer: {hours: 99999999999}", "hours is more than 10000", "write at most 10000"),
        (SCENARIOS, "answer: {hours: 6}", "answer: {minutes: -1}", "minutes is less than 0", "write at least 0"),
        (SCENARIOS, "answer: {hours: 6}", "answer: {hours: '6'}", "hours is not a whole number", "write a whole number, without quotes"),
        (SCENARIOS, "answer: {hours: 6}", "answer: {hours: 0}", "answer: give minutes, hours, days, working_days or office_hours", "schema"),
        (HEAD, "hub: uptd-ppa", 'hub: "uptd\\0ppa"', "hub: the text has the invisible character U+0000", "delete it"),
        (HEAD, "hub: uptd-ppa", 'hub: "\\ud800"', "hub: the text has the invisible character U+D800", "delete it"),
        (HEAD, "hub: uptd-ppa", 'hub: "uptd\u202eppa"', "hub: the text has the invisible character U+202E", "delete it"),
        (HEAD, "hub: uptd-ppa", f"hub: {'x' * 2001}", "hub: a text of 2,001 characters", "write at most 2,000"),
        (HEAD, "hub: uptd-ppa", 'hub: uptd-ppa\n"\\a": 1', "the text has the invisible character U+0007", "delete it"),
        (HEAD, "hub: uptd-ppa", 'hub: uptd-ppa\n"\\ud800": 1', "U+D800: the text has the invisible character U+D800", "delete it"),
        (HEAD, "hub: uptd-ppa", "hub: 5", "hub is not a text", "write a text; put it in quotes"),
        (HEAD, "hub: uptd-ppa", "hub: 2026-13-25", "the hub 2026-13-25 is not a party", "choose one of"),
        (HEAD, "hub: uptd-ppa", f"hub: {'[' * 600}", "nested too deeply", "close the open brackets"),
        (HEAD, "hub: uptd-ppa", "hub: &a [*a]", "hub is not a text", "write a text"),
        (HEAD, "hub: uptd-ppa", "hub: *nobody", "an alias has no anchor", "close open brackets"),
        (HEAD, 'version: "2026-11"', "version: null", "version is not a text", "write a text"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_a_finding(
    version: Path, edit: Edit, file: str, old: str, new: str, problem: str, remedy: str
) -> None:
    edit(file, old, new)

    output = "\n".join(found(version))

    assert problem in output, output
    assert remedy in output
    assert re.search(rf"^{file}:\d+:\d+: ", output, re.MULTILINE)


def test_a_malformed_date_is_located_exactly(version: Path, edit: Edit) -> None:
    edit(HEAD, "[2026-12-25, 2027-01-01,", "[2026-12-25, 2027-02-30,")
    line = next(n for n, text in enumerate((version / HEAD).read_text().splitlines(), 1) if text.startswith("holidays"))

    [finding] = found(version)

    assert finding.startswith(f"{HEAD}:{line}:24: holidays: 2027-02-30")


def test_one_run_finds_every_malformed_value(version: Path, edit: Edit) -> None:
    edit(HEAD, "2026-12-25", "2026-13-25")
    edit(HEAD, "2026-11-24T00:00:00+07:00", "tomorrow")
    edit(HEAD, 'until: "22:00"', 'until: "22:0"')
    edit(PROTECTION, READ, "read: 2026-02-30")
    edit(SCENARIOS, "answer: {hours: 6}", "answer: {hours: six}")

    output = "\n".join(found(version))

    assert all(text in output for text in ("2026-13-25", "tomorrow", "22:0 ", "2026-02-30", "hours is"))


def test_check_reports_a_malformed_date_without_a_traceback(version: Path, edit: Edit) -> None:
    edit(HEAD, "2026-12-25", "2026-13-25")

    result = CliRunner().invoke(app, ["agreement", "check", str(version), "--language", "en"])

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "holidays: 2026-13-25 is not a date" in result.output


def test_routing_reads_the_same_as_the_check() -> None:
    """Without places another constructor reads the file."""

    def without_places(agreement: Agreement) -> list[Clause]:
        return [
            replace(clause, examples=tuple(replace(example, where=Where()) for example in clause.examples))
            for clause in agreement.clauses
        ]

    plain = read_agreement(VERSION, CITY, with_positions=False)

    assert without_places(plain) == without_places(kediri())
    assert replace(plain, clauses=()) == replace(kediri(), clauses=())


@pytest.mark.parametrize("value", ["2026-13-25", "!!int many", "!x y", '"\\0"'])
def test_routing_refuses_what_the_check_refuses(version: Path, edit: Edit, value: str) -> None:
    edit(HEAD, "2026-12-25", value)

    shown = [read_with_findings(version, CITY, with_positions=with_positions)[1] for with_positions in (True, False)]

    assert [finding.problem for finding in shown[0]] == [finding.problem for finding in shown[1]] != []


FORMS: dict[str, Any] = {
    HEAD: AgreementFile,
    PROTECTION: ClausesFile,
    ESCALATION: ClausesFile,
    "clauses/20-clocks.yaml": ClausesFile,
    "clauses/30-prompt-response.yaml": ClausesFile,
    SCENARIOS: ScenariosFile,
}
STRANGE = (
    "2026-13-25",
    "2026-02-30",
    "0000-00-00",
    "10000-01-01",
    "2026-11-24T25:00:00+07:00",
    "2026-11-24",
    "25:00",
    "12:30",
    "null",
    "~",
    "true",
    "no",
    "0",
    "-1",
    "1.5",
    "1e999",
    ".nan",
    "9" * 30,
    "9" * 5000,
    "0x",
    "0o9",
    '""',
    '"\\0"',
    '"\\ud800"',
    '"\u202e"',
    "x" * 3000,
    "[]",
    "{}",
    "[[a]]",
    "{a: {b: c}}",
    "!!int x",
    "!!float x",
    "!!bool x",
    "!!timestamp x",
    "!!binary '@'",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!str 5",
    "!!null 5",
    "!foo x",
    "!foo [x]",
    "&a [*a]",
    "&a {b: *a}",
    "*b",
    "{<<: 5}",
    "? [a]\n",
    "%",
    "@",
    "`",
    "[" * 40,
    "|",
    ">",
    "'",
    '"',
    "high",
    "sexual",
    "uptd-ppa",
    "satgas_of_residence",
    "polres-ppa",
    "URG-H",
    "MED-1",
    "urgency",
    "a+b",
    "50",
)


@cache
def scalars(text: str) -> list[tuple[int, int]]:
    """Where each scalar of a document begins and ends: keys and values."""
    tokens = YAML(typ="rt", pure=True).scan(text)
    return [(t.start_mark.index, t.end_mark.index) for t in tokens if type(t).__name__ == "ScalarToken"]


def read_whole(version: Path, changed: str) -> Iterator[str]:
    """Everything that the check does with a version before it asks the provers; the changed file first."""
    findings: list[Finding] = []
    if not read_document(version / changed, version, FORMS[changed], findings):
        yield from map(str, findings)
        return
    agreement, findings = read_with_findings(version, CITY)
    yield from map(str, findings)
    problems: list[Finding] = []
    scenarios = read_scenarios(version, problems)
    yield from map(str, problems)
    if agreement is not None and not findings:
        yield from map(str, example_findings(agreement))
        yield from map(str, scenario_findings(agreement, scenarios, CITY))
        for clause in agreement.clauses:
            yield from (clause_sentence(clause, agreement, "id"), describe_source(clause.source, "en"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_instead_of_any_other_gives_findings_or_an_agreement(small: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(list(FORMS)))
    path = small / file
    text = path.read_text()
    start, end = data.draw(st.sampled_from(scalars(text)))
    value = data.draw(st.one_of(st.sampled_from(STRANGE), st.text(max_size=30), st.integers().map(str)))
    try:
        path.write_bytes((text[:start] + value + text[end:]).encode("utf-8", "surrogatepass"))

        assert all(line.encode() for line in read_whole(small, file))
    finally:
        path.write_text(text)

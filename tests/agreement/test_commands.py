# ruff: noqa: E501 - one case on one line reads best
"""The commands that officials and operators use: explanation, comparison, simulation, document."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from simpul_agreement.compare import cover
from simpul_agreement.model import Condition
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import View
from simpul_cli.app import app
from simpul_seal import Directory
from tests.agreement.conftest import Edit
from tests.support.agreements import VERSION, kediri


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["agreement", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.yaml"
    path.write_text("violence: sexual\nsafe_now: no\nplace: school\nperpetrator_relation: teacher\n")
    return path


def test_check_exits_0_only_with_a_proof(version: Path, edit: Edit) -> None:
    assert "0 gaps, 0 overlaps, 0 dead clauses" in run("check", version).output

    edit("clauses/60-protection.yaml", "then: {mediation: locked}", "then: {mediation: open}")

    assert "2026-11 is not proven" in run("check", version, code=1).output


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("id", ["Kegentingan: TINGGI", "15 menit", "Mediasi dilarang: ya", "Visum: rs-rujukan + polres-ppa [FOR-1]",
                "MED-1: Bila bentuk kekerasan: seksual", "Perubahan terkecil"]),
        ("en", ["Urgency: HIGH", "15 minutes", "Mediation locked: yes",
                "Forensic examination: rs-rujukan + polres-ppa [FOR-1]", "The smallest changes"]),
    ],
)  # fmt: skip
def test_explain_shows_agencies_deadlines_and_clauses(report: Path, language: str, expected: list[str]) -> None:
    output = run("explain", VERSION, report, "--language", language).output

    assert all(text in output for text in expected), output


def test_explain_all_gives_every_clause_a_reason(report: Path) -> None:
    output = run("explain", VERSION, report, "--all").output

    assert all(re.search(rf"^  {clause.id}: ", output, re.MULTILINE) for clause in kediri().clauses)
    assert "URG-M1: tidak, karena dikalahkan oleh URG-H1" in output
    assert "SHE-2: tidak, karena bentuk kekerasan = seksual" in output


def test_explain_shows_the_smallest_change_that_alters_the_result(tmp_path: Path) -> None:
    path = tmp_path / "report.yaml"
    path.write_text("violence: other\nsafe_now: yes\nresidence: kelurahan\nage_band: under_6\nplace: other\n")

    output = run("explain", VERSION, path, "--language", "en").output

    changes = output.partition("The smallest changes that alter the result:")[2]
    assert "home of the child: not known, or outside the city" in changes.splitlines()[1]
    assert "+ Manual triage is led by" in changes.splitlines()[2]


def test_explain_reads_a_report_as_posted_to_intake(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"channel": "walk_in", "violence": ["physical"], "kelurahan": "Bujel", "safe_now": "no"}')

    assert "Penjangkauan: satgas-kel-bujel [OUT-1]" in run("explain", VERSION, path).output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("violnce: sexual", "violnce is neither a fact nor a value"),
        ("channel: pigeon", "intake would refuse channel"),
        ("- a", "one report"),
    ],
)
def test_explain_refuses_an_unreadable_report_with_the_reason(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "report.yaml"
    path.write_text(text)

    assert expected in run("explain", VERSION, path, code=2).output


def test_diff_of_a_version_with_itself_is_empty() -> None:
    output = run("diff", VERSION, VERSION).output

    assert "0 jawaban berubah" in output
    assert "beban kerja tidak berubah" in output


def test_diff_shows_changed_situations_and_workloads(version: Path, edit: Edit) -> None:
    edit("clauses/50-aid-education-law.yaml", "{violence: {any: [physical, exploitation]}}\n        then: {service: legal_aid, right: accompaniment, lead: [ylpa, uptd-ppa]}",
         "{violence: {any: [physical, exploitation]}}\n        then: {service: legal_aid, right: accompaniment, lead: [uptd-ppa, ylpa]}")  # fmt: skip
    edit("clauses/10-urgency.yaml", "when: {suicidal_sign: [yes]}", "when: {suicidal_sign: [yes, unknown]}")

    output = run("diff", VERSION, version, "--language", "en").output

    assert "service legal_aid:" in output
    assert "kind of violence: physical" in output
    assert "- Legal aid is led by Child Protection Foundation" in output
    assert "+ Legal aid is led by Protection service" in output
    assert "urgency: " in output
    assert "there is a suicidal sign: not known" in output
    assert re.search(r"ylpa: \d+ -> \d+ \(-\d+\)", output)
    assert re.search(r"uptd-ppa: \d+ -> \d+ \(\+\d+\)", output)
    assert re.search(r"[1-9]\d* of \d+ scenarios of 2026-11 are referred differently", output)


REPORTS = """
- {title: Rina rekaan, channel: phone, violence: [physical], kelurahan: Bujel, safe_now: "yes", injured: "no"}
- {channel: walk_in, violence: [physical], kelurahan: Bujel, safe_now: "yes", injured: "no", suicidal_sign: "no"}
"""


def test_diff_compares_the_reports_of_a_file_too(version: Path, edit: Edit, tmp_path: Path) -> None:
    edit("clauses/10-urgency.yaml", "when: {suicidal_sign: [yes]}", "when: {suicidal_sign: [yes, unknown]}")
    path = tmp_path / "reports.yaml"
    path.write_text(REPORTS)

    output = run("diff", VERSION, version, "--language", "en", "--reports", path).output

    assert "1 of 2 reports of the file are referred differently\n  Rina rekaan: the urgency: " in output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("channel: phone", "write a list of reports"),
        (
            "- {channel: phone, violence: [physical]}\n- {channel: pigeon, violence: [physical]}",
            "report 2: intake would refuse channel",
        ),
        ("- {channel: phone, violence: [physical], colour: red}", "report 1: a report has no field colour"),
    ],
)
def test_diff_refuses_an_unreadable_list_of_reports(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "reports.yaml"
    path.write_text(text)

    assert expected in run("diff", VERSION, VERSION, "--reports", path, code=2).output


def test_a_created_key_is_never_replaced(tmp_path: Path) -> None:
    run("create-key", "polres-ppa", "--folder", tmp_path)
    before = (tmp_path / "polres-ppa.key.json").read_bytes()

    assert "never replaced" in run("create-key", "polres-ppa", "--folder", tmp_path, code=2).output

    assert (tmp_path / "polres-ppa.key.json").read_bytes() == before
    assert len(Directory.read(tmp_path / "directory.json").entries) == 1


def test_a_cover_is_exactly_the_situations_and_no_more() -> None:
    prover = BitsetProver(kediri(), kediri().active_from.date())
    view = View(prover, ["violence", "injured", "safe_now", "place"])
    target = view.holding([Condition("injured", frozenset({"yes"}))]) | view.holding(
        [Condition("violence", frozenset({"sexual"})), Condition("safe_now", frozenset({"no", "unknown"}))]
    )

    cubes = cover(view.layout, target)

    covered = 0
    for cube in cubes:
        covered |= view.holding(cube)
    assert covered == target
    assert len(cubes) == 2


def test_a_simulated_year_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    outputs, pictures = [], []
    for number in range(2):
        picture = tmp_path / f"{number}.svg"
        output = run("simulate", VERSION, "--reports", 200, "--seed", 7, "--picture", picture).output
        outputs.append(output.replace(str(picture), ""))
        pictures.append(picture.read_bytes())

    assert outputs[0] == outputs[1]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"<svg")
    assert "uptd-ppa" in outputs[0]
    assert "200 reports in 2027" in outputs[0]


def test_the_document_is_reproducible_and_complete(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("render", VERSION, "--out", tmp_path / name)

    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [f"agreement-2026-11.{language}.{kind}" for language in ("en", "id") for kind in ("html", "pdf")]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)
    assert (tmp_path / "one" / "agreement-2026-11.id.pdf").read_bytes().startswith(b"%PDF")
    page = (tmp_path / "one" / "agreement-2026-11.id.html").read_text()
    assert all(clause.id in page for clause in kediri().clauses)
    assert page.count("(35.71.") == 46
    assert "898.739.006.976" in page
    assert "default proyek, belum ditetapkan kota" in page


def test_an_unproven_text_is_marked_as_a_draft(version: Path, tmp_path: Path) -> None:
    (version / "proof.json").unlink()

    run("render", version, "--out", tmp_path / "out")

    assert "RANCANGAN" in (tmp_path / "out" / "agreement-2026-11.id.html").read_text()


@pytest.mark.parametrize(
    ("language", "expected", "reported"),
    [
        ("id", "bentuk kekerasan: seksual, disimpulkan dari anak hamil = ya; umur anak = 12-14 tahun", "seksual"),
        ("en", "kind of violence: sexual, implied by the child is pregnant = yes; age of the child = 12-14 years", "sexual"),
    ],
)  # fmt: skip
def test_explain_shows_implied_violence_and_its_facts(
    tmp_path: Path, language: str, expected: str, reported: str
) -> None:
    path = tmp_path / "report.yaml"
    facts = "pregnant: yes\nage_band: from_12_to_14\nsafe_now: yes\n"
    path.write_text(f"violence: physical\n{facts}")
    implied = run("explain", VERSION, path, "--language", language).output
    path.write_text(f"violence: sexual+physical\n{facts}")
    named = run("explain", VERSION, path, "--language", language).output

    assert expected in implied
    assert "FOR-1" in implied
    assert expected not in named
    assert reported in named


def test_the_document_to_sign_lists_the_implications(tmp_path: Path) -> None:
    run("render", VERSION, "--out", tmp_path)

    page = (tmp_path / "agreement-2026-11.id.html").read_text()

    assert "seksual, disimpulkan dari kekerasan seksual terjadi kurang dari 72 jam lalu: ya" in page
    assert "anak hamil: ya; umur anak: 0-5 tahun, 6-11 tahun atau 12-14 tahun" in page

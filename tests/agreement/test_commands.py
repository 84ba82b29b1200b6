# ruff: noqa: E501 - one case on one line reads best
"""The commands that officials and operators use: explanation, comparison, simulation, document."""

import csv
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
    assert "0 gaps, 0 overlaps, 0 dead clauses" in run("check", version, "--language", "en").output

    edit("clauses/60-protection.yaml", "then: {mediation: locked}", "then: {mediation: open}")

    assert "2026-11 is not proven" in run("check", version, "--language", "en", code=1).output


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "id",
            [
                "Kegentingan: TINGGI",
                "15 menit",
                "Mediasi: dilarang",
                "Visum: rs-rujukan + polres-ppa [FOR-1]",
                "MED-1: Bila anak mengalami kekerasan seksual",
                "Perubahan terkecil",
            ],
        ),
        (
            "en",
            [
                "Urgency: HIGH",
                "15 minutes",
                "Mediation: forbidden",
                "Forensic examination: rs-rujukan + polres-ppa [FOR-1]",
                "The smallest changes",
            ],
        ),
    ],
)
def test_explain_shows_agencies_deadlines_and_clauses(report: Path, language: str, expected: list[str]) -> None:
    output = run("explain", VERSION, report, "--language", language).output

    assert all(text in output for text in expected), output


def test_explain_all_gives_every_clause_a_reason(report: Path) -> None:
    output = run("explain", VERSION, report, "--all").output

    assert all(re.search(rf"^  {clause.id}: ", output, re.MULTILINE) for clause in kediri().clauses)
    assert "URG-M1: tidak, karena dikesampingkan oleh URG-H1" in output
    assert "SHE-2: tidak, karena anak mengalami kekerasan seksual" in output


def test_explain_shows_the_smallest_change_that_alters_the_result(tmp_path: Path) -> None:
    path = tmp_path / "report.yaml"
    path.write_text("violence: other\nsafe_now: yes\nresidence: kelurahan\nage_band: under_6\nplace: other\n")

    output = run("explain", VERSION, path, "--language", "en").output

    changes = output.partition("The smallest changes that alter the result:")[2]
    assert "if the child lives outside the city" in changes.splitlines()[1]
    assert "+ Manual triage is led by" in changes.splitlines()[2]


def test_explain_reads_a_report_as_posted_to_intake(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"channel": "walk_in", "violence": ["physical"], "kelurahan": "Bujel", "safe_now": "no"}')

    assert "Penjangkauan: satgas-kel-bujel [OUT-1]" in run("explain", VERSION, path).output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("violnce: sexual", "report.yaml:1:10: violnce is not a fact; write violence"),
        ("safe_now: no\nage: 9", "report.yaml:2:6: age is not a fact; write age_band"),
        ("happened: yesterday", "report.yaml:1:11: happened is not a fact; choose one of age_band, "),
        ("violence: sexul", "report.yaml:1:11: sexul is not a value of violence; write sexual"),
        ("channel: pigeon", "report.yaml:1:10: intake would refuse channel"),
        ("- a", "report.yaml:1:1: write one report"),
        ("place: school\nplace: home", "report.yaml:2:1: not YAML: place is written twice"),
        ("violence: [sexual", "report.yaml:1:18: not YAML: the text ends before a bracket or a quote is closed"),
        ("violence: a: b", "report.yaml:1:12: not YAML: a colon is too much, or the text with it needs quotes"),
        ("a" * 500_001, "report.yaml:1:1: the file has 500,001 bytes, more than 500,000"),
    ],
    ids=range(10),
)
def test_explain_refuses_an_unreadable_report_with_the_reason(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "report.yaml"
    path.write_text(text)

    assert expected in run("explain", VERSION, path, "--language", "en", code=2).output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("happened: yesterday", "report.yaml:1:11: happened bukan fakta; pilih salah satu dari age_band, "),
        ("place: school\nplace: home", "report.yaml:2:1: bukan YAML: place ditulis dua kali"),
        ("a: [b\nc: d", "bukan YAML: koma atau kurung tutup tidak ada"),
        ('a: "b', "bukan YAML: teks berakhir sebelum kurung atau tanda kutip ditutup"),
        ("a: 1\n b: 2", "bukan YAML: ada titik dua yang berlebih, atau teks yang memuatnya memerlukan tanda kutip"),
        ("a: @b", "bukan YAML: teks yang diawali '@' memerlukan tanda kutip"),
        ("a: !thing x", "bukan YAML: tanda jenis (tag) tidak diperbolehkan"),
        ("a: *b", "bukan YAML: alias tidak mempunyai jangkar"),
        ("a" * 500_001, "report.yaml:1:1: berkas berukuran 500.001 bita, lebih dari 500.000"),
    ],
    ids=range(9),
)
def test_a_mistake_in_a_file_is_described_in_the_language_of_the_reader(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "report.yaml"
    path.write_text(text)

    assert expected in run("explain", VERSION, path, "--language", "id", code=2).output


@pytest.mark.parametrize(
    ("language", "expected"), [("id", "tidak punya city.yaml; sebutkan"), ("en", "has no city.yaml; pass")]
)
def test_a_folder_outside_a_city_is_named_in_the_language(tmp_path: Path, language: str, expected: str) -> None:
    assert expected in run("check", tmp_path, "--language", language, code=2).output


def test_diff_of_a_version_with_itself_is_empty() -> None:
    output = run("diff", VERSION, VERSION).output

    assert "0 jawaban berubah" in output
    assert "beban kerja tidak berubah" in output


def test_diff_shows_changed_situations_and_workloads(version: Path, edit: Edit) -> None:
    edit(
        "clauses/50-aid-education-law.yaml",
        "{violence: {any: [physical, exploitation]}}\n        then: {service: legal_aid, right: accompaniment, lead: [ylpa, uptd-ppa], phase: planned, max_urgency: low}",
        "{violence: {any: [physical, exploitation]}}\n        then: {service: legal_aid, right: accompaniment, lead: [uptd-ppa, ylpa], phase: planned, max_urgency: low}",
    )
    edit("clauses/10-urgency.yaml", "when: {suicidal_sign: [yes]}", "when: {suicidal_sign: [yes, unknown]}")

    output = run("diff", VERSION, version, "--language", "en").output

    assert "who leads the service legal aid:" in output
    assert "the child suffered physical violence" in output
    assert "- Legal aid is led by Child Protection Foundation" in output
    assert "+ Legal aid is led by Protection service" in output
    assert "the urgency: " in output
    assert "it is not known whether the child shows a suicidal sign" in output
    assert re.search(r"ylpa: \d+ -> \d+ \(-\d+\)", output)
    assert re.search(r"uptd-ppa: \d+ -> \d+ \(\+\d+\)", output)
    assert re.search(r"[1-9]\d* of \d+ scenarios of 2026-11 are referred differently", output)


def test_diff_names_changes_outside_the_clauses(version: Path, edit: Edit) -> None:
    edit("agreement.yaml", "valid_until: 2027-12-31", "valid_until: 2027-12-30")
    edit("agreement.yaml", 'office: {id: "Direktur"', 'person: Nama Rekaan\n      office: {id: "Direktur"')
    edit("agreement.yaml", "2026-12-25, ", "")

    output = run("diff", VERSION, version, "--language", "en").output

    assert "end of validity: 2027-12-31 -> 2027-12-30" in output
    assert "rs-rujukan, signatory: Director, Gambiran" in output
    assert "-> Nama Rekaan, Director, Gambiran" in output
    assert "holidays that only one version lists: 2026-12-25" in output


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
            "reports.yaml:2:13: intake would refuse channel",
        ),
        ("- {channel: phone, violence: [physical], colour: red}", "reports.yaml:1:50: a report has no field colour"),
    ],
)
def test_diff_refuses_an_unreadable_list_of_reports(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "reports.yaml"
    path.write_text(text)

    assert expected in run("diff", VERSION, VERSION, "--language", "en", "--reports", path, code=2).output


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
        output = run(
            "simulate", VERSION, "--reports", 200, "--seed", 7, "--picture", picture, "--language", "en"
        ).output
        outputs.append(output.replace(str(picture), ""))
        pictures.append(picture.read_bytes())

    assert outputs[0] == outputs[1]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"<svg")
    assert "uptd-ppa" in outputs[0]
    assert "200 invented reports: high " in outputs[0]


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
    assert "18.976.372.111.872" in page
    assert "default proyek, belum ditetapkan kota" in page


def test_an_unproven_text_is_marked_as_a_draft(version: Path, tmp_path: Path) -> None:
    (version / "proof.json").unlink()

    run("render", version, "--out", tmp_path / "out")

    assert "RANCANGAN" in (tmp_path / "out" / "agreement-2026-11.id.html").read_text()


@pytest.mark.parametrize(
    ("language", "expected", "reported"),
    [
        (
            "id",
            "Bila anak hamil, dan umur anak 0-5 tahun, 6-11 tahun, atau 12-14 tahun, maka anak mengalami kekerasan seksual",
            "seksual",
        ),
        (
            "en",
            "If the child is pregnant, and the age of the child is 0-5 years, 6-11 years, or 12-14 years, then the child suffered sexual violence",
            "sexual",
        ),
    ],
)
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

    assert (
        "Bila anak hamil, dan umur anak 0-5 tahun, 6-11 tahun, atau 12-14 tahun, maka anak mengalami kekerasan seksual"
        in page
    )


@pytest.mark.parametrize(
    "text",
    ["", "{}", "channel: phone", "safe_now: false", "violence: [sexual, physical]", '{"injured": true, "place": null}'],
)
def test_explain_takes_the_smallest_report(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.yaml"
    path.write_text(text)

    assert "Referrals:" in run("explain", VERSION, path, "--language", "en").output


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59", "0001-01-01T00:00:00+00:00", "tomorrow", "5"])
def test_explain_refuses_a_moment_out_of_range(tmp_path: Path, written: str) -> None:
    path = tmp_path / "report.yaml"
    path.write_text(f'channel: phone\nreceived_at: "{written}"\n')

    assert "is not a time with a zone" in run("explain", VERSION, path, "--language", "en", code=2).output


def test_a_narrow_terminal_loses_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {}
    for width in ("40", "200"):
        monkeypatch.setenv("COLUMNS", width)
        outputs[width] = run("simulate", VERSION, "--reports", 50, "--picture", tmp_path / "year.svg").output

    figures = {
        width: sorted(re.findall(r"(?<![\w.-])\d+(?:[.%mh]\d*)?(?![\w-])", text)) for width, text in outputs.items()
    }
    assert "\u2026" not in outputs["40"]
    assert set(figures["200"]) <= set(figures["40"])


def test_simulate_counts_referrals_and_messages_by_agency_case_and_night(tmp_path: Path) -> None:
    path = tmp_path / "year.csv"
    run("simulate", VERSION, "--reports", 100, "--picture", tmp_path / "year.svg", "--csv", path)

    rows = list(csv.DictReader(path.read_text().splitlines()))

    def total(subject: str, measure: str) -> float:
        return sum(float(r["value"]) for r in rows if (r["subject"], r["measure"]) == (subject, measure))

    [mean] = [
        float(r["value"]) for r in rows if (r["subject"], r["name"], r["measure"]) == ("case", "mean", "messages")
    ]
    assert total("agency", "messages") == pytest.approx(100 * mean)
    assert total("agency", "night_messages") == total("night", "messages") > 0
    assert total("agency", "messages") >= total("agency", "referrals")

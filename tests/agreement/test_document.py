"""The document that people sign: read back it is the agreement that runs, and every form numbers alike."""

import json
import re
from functools import cache
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import typst
from typer.testing import CliRunner

from simpul_agreement.check import check_version
from simpul_agreement.document.contents import Form, contents
from simpul_agreement.document.prose import prose_findings
from simpul_agreement.fact_phrases import describe_condition
from simpul_agreement.facts import FACTS, URGENCY, Fact
from simpul_agreement.model import Condition
from simpul_agreement.reading import read_agreement
from simpul_agreement.render import render
from simpul_agreement.versions import signatories
from simpul_cli.app import app
from tests.agreement.conftest import Edit
from tests.agreement.document_reader import Page, Reader, as_printed, read_page
from tests.support.agreements import CITY, VERSION, kediri


@cache
def rendered(folder: Path, form: Form = Form.AGREEMENT) -> dict[str, bytes]:
    """The files of Kediri's document."""
    return {path.name: path.read_bytes() for path in render(VERSION, kediri(), CITY, folder, form)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("document")


def page(out: Path, language: str = "id", form: Form = Form.AGREEMENT) -> Page:
    return read_page(rendered(out, form)[f"{form}-2026-11.{language}.html"].decode())


def test_the_document_read_back_is_the_agreement_that_runs(out: Path) -> None:
    reader = Reader(page(out), kediri())

    assert reader.clauses() == as_printed(kediri().clauses)
    assert reader.overrides() == {clause.id: clause.overrides for clause in kediri().clauses}


PARTS = (
    "Para Pihak", "Menimbang", "Mengingat", "Definisi", "Maksud dan Tujuan", "Ruang Lingkup", "Hak dan Kewajiban",
    "Tugas Para Pihak", "Tata Cara", "Jam Layanan dan Hari Libur", "Kegentingan dan Batas Waktu",
    "Kerahasiaan dan Pelindungan Data", "Pembiayaan", "Jangka Waktu", "Perubahan", "Penyelesaian Perselisihan",
    "Keadaan Kahar", "Penutup", "Tanda tangan", "Siapa melayani apa", "Batas waktu dan sumbernya", "Jenjang eskalasi",
    "Pembukaan data", "Diagram alur", "Sertifikat kelengkapan",
)  # fmt: skip
"""What a cooperation agreement has, from the parties and the recitals to the annexes, in this order."""


def test_the_document_has_every_part_that_a_city_signs(out: Path) -> None:
    html = rendered(out)["agreement-2026-11.id.html"].decode()
    headings = [
        re.sub(r"<[^>]+>", " ", one).strip() for _, one in re.findall(r"<h([123])[^>]*>(.*?)</h\1>", html, re.S)
    ]
    found = [next((at for at, heading in enumerate(headings) if heading.endswith(part)), None) for part in PARTS]

    assert [part for part, at in zip(PARTS, found, strict=True) if at is None] == []
    text = re.sub(r"<[^>]+>", " ", html)
    assert text.count("Meterai") == text.count("bertindak") == len(signatories(kediri(), CITY))
    assert "kecuali Pasal" in text


def query(selector: str, field: str) -> Any:
    """What the typesetter knows of the elements of the PDF."""
    content = contents(VERSION, kediri(), CITY, "id", Form.AGREEMENT)
    source = (files("simpul_agreement") / "templates" / "agreement.typ").read_bytes()
    inputs = {"content": json.dumps(content)}
    return json.loads(typst.query(source, selector, field=field, sys_inputs=inputs, ignore_system_fonts=True))


def test_every_page_of_a_draft_says_so() -> None:
    [pages] = query("<pages>", "value")

    assert query("<draft>", "value") == list(range(1, pages + 1))


def test_no_signature_breaks_over_a_page() -> None:
    begins = query("<signature-begins>", "value")

    assert len(begins) == 10
    assert begins == query("<signature-ends>", "value")


def test_html_and_pdf_have_the_same_headings(out: Path) -> None:
    headings = query("heading", "body")

    assert [" ".join(text_of(body).split()) for body in headings] == [
        heading.upper() if heading.startswith(("BAB", "LAMPIRAN")) else heading for heading in page(out).headings[1:]
    ]


def text_of(body: Any) -> str:
    """The text of a heading that typst describes as JSON."""
    if isinstance(body, dict):
        children = [body[name] for name in ("text", "body", "child") if name in body] + body.get("children", [])
        return " " if body.get("func") in ("space", "linebreak") else "".join(map(text_of, children))
    return str(body)


def test_both_languages_number_alike(out: Path) -> None:
    places = [{p.id: p.paragraph for p in page(out, language).provisions.values()} for language in ("id", "en")]

    assert places[0] == places[1]
    assert len(places[0]) == len(kediri().clauses)


def test_the_pdf_is_tagged_for_screen_readers(out: Path) -> None:
    pdf = rendered(out)["agreement-2026-11.id.pdf"]

    assert b"pdfuaid:part" in pdf
    assert b"/StructTreeRoot" in pdf


def test_hours_holidays_and_the_hospital_are_named(out: Path) -> None:
    text = page(out).text

    assert "Jam kerja: Senin sampai dengan Jumat, pukul 07.00 sampai dengan 15.30" in text
    assert "25 Desember 2026" in text
    assert "RUMAH SAKIT UMUM DAERAH GAMBIRAN KOTA KEDIRI" in text


def test_no_party_stands_in_for_itself_or_supports_itself(out: Path) -> None:
    provisions = page(out).provisions

    assert provisions["ESC-200"].text == (
        "Setelah 200 % batas waktu berlalu, Kepala UPT PPA diberi tahu, dan selalu juga Gugus tugas kota."
    )
    assert provisions["ACC-2"].text.endswith(
        "pendampingan sidang dipimpin oleh UPT PPA DP3AP2KB Kota Kediri, didukung oleh Yayasan Lembaga Perlindungan "
        "Anak Kota Kediri, menurut rencana layanan, dengan kegentingan setinggi-tingginya tingkat rendah; bila "
        "penanggung jawab itu berhalangan, layanan itu dipimpin oleh Yayasan Lembaga Perlindungan Anak Kota Kediri."
    )


@pytest.mark.parametrize("clause", ["POL-1", "FOR-1", "CAR-1", "PEP-1"])
def test_a_party_that_cannot_carry_out_a_service_finds_another_provider(out: Path, clause: str) -> None:
    text = page(out).provisions[clause].text

    assert text.endswith(
        "; bila penanggung jawab itu berhalangan, penyedia lain dicarikan oleh UPT PPA DP3AP2KB Kota Kediri."
    )


def test_a_right_without_a_service_says_what_the_child_gets(out: Path) -> None:
    provisions = page(out).provisions

    assert provisions["PSY-03"].text.startswith(
        "Bila anak hanya mengalami kekerasan fisik, eksploitasi, penelantaran, atau kekerasan bentuk lain, dan "
    )
    assert provisions["PSY-03"].text.endswith(
        "kejadiannya di mana pun selain di sekolah, maka untuk hak atas rehabilitasi psikis anak saat ini cukup "
        "mendapat pengelolaan kasus, karena pengelola kasus yang menilai apakah anak memerlukan psikolog atau konselor."
    )
    assert "dan terduga pelaku diketahui bukan orang tua atau orang tua tiri atau hal itu belum diketahui, maka" in (
        provisions["SOC-02"].text
    )
    assert provisions["SOC-02"].text.endswith(
        "maka layanan untuk hak atas rehabilitasi sosial ditentukan pada asesmen, karena keadaan anak belum diketahui "
        "seluruhnya."
    )


def test_the_tasks_of_a_party_are_a_sentence_and_a_list(out: Path) -> None:
    text = page(out).text

    assert "; wilayah kerjanya sekolah di Kota Kediri. Pihak ini:" in text
    assert "mencarikan penyedia lain bila penanggung jawab berhalangan untuk layanan laporan polisi, visum, " in text
    assert "Batas waktu dihitung menurut Waktu Indonesia Barat (WIB)" in text


def test_a_party_with_one_task_has_it_in_the_sentence(out: Path) -> None:
    text = page(out).text

    assert "Pihak ini memimpin layanan rumah aman, asesmen sosial, reintegrasi, dan bantuan sosial." in text
    assert (
        "This party has one task: it leads the services shelter, social assessment, reintegration, and social aid."
        in page(out, "en").text
    )


def test_the_annex_marks_what_is_disclosed_before_anybody_has_consented(out: Path) -> None:
    html = rendered(out)["agreement-2026-11.id.html"].decode()
    rows = {
        cells[0]: cells[1:-1]
        for row in re.findall(r"<tr>(.*?)</tr>", html.partition("Pembukaan data")[2], re.S)
        if len(cells := [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.S)])
        == 8
    }

    assert rows["Laporan polisi"] == ["●*", "●*", "", "●*", "", "●*"]
    assert rows["Pengelolaan kasus"] == ["●", "●", "", "", "", "●*"]
    assert rows["Psikolog"] == ["●", "●", "●", "", "", ""]


def test_the_provisions_are_in_force_from_the_signatures(out: Path) -> None:
    signed = "Ketentuan ini berlaku sejak ditandatangani oleh semua PIHAK, paling awal tanggal 24 November 2026,"

    assert signed in page(out).text
    assert signed not in page(out, form=Form.DECREE).text


def test_the_decree_of_the_mayor_has_the_same_provisions(out: Path) -> None:
    decree = page(out, form=Form.DECREE)

    assert decree.headings[0] == "KEPUTUSAN WALI KOTA KEDIRI"
    assert "MEMUTUSKAN" in decree.text
    assert "Dalam keputusan ini yang dimaksud dengan" in decree.text
    assert "rangkap sejumlah PARA PIHAK" not in decree.text
    assert "Meterai" not in decree.text
    assert decree.provisions == page(out).provisions


def test_a_draft_lists_what_is_open() -> None:
    content = contents(VERSION, kediri(), CITY, "id", Form.AGREEMENT)

    assert content["draft_line"].startswith("RANCANGAN: ketentuan yang perlu diperiksa ahli hukum: ")
    assert [point["summary"] for point in content["open"]] == [
        "Ketentuan yang perlu diperiksa ahli hukum: 46",
        "Ketentuan yang belum ditetapkan kota: 108",
        "Hari libur belum dipastikan",
        "Penanda tangan tanpa nama: 9",
    ]


def test_a_document_without_open_points_is_no_draft(version: Path) -> None:
    for path in version.rglob("*.yaml"):
        text = re.sub(r"status: \w+", "status: verified, read: 2026-11-24", path.read_text())
        text = re.sub(r"read: 2026-11-24, status: verified, read", "status: verified, read", text)
        path.write_text(re.sub(r"^( +signatory:)$", r"\1\n      person: Nama Rekaan", text, flags=re.MULTILINE))
    agreement = read_agreement(version, CITY)

    content = contents(version, agreement, CITY, "id", Form.AGREEMENT)

    # The source of inferred violence is the package's own.
    assert {point["summary"] for point in content["open"]} == {
        "Belum dibuktikan",
        "Ketentuan yang perlu diperiksa ahli hukum: 1",
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "expected"),
    [
        ("articles.id", "## Definisi", "## Definisi {kota}", "articles.id.md:3:1", "{kota} is not a placeholder"),
        ("articles.id", "\n2. Tata cara ini bertujuan", "\n3. Tata cara ini bertujuan", "articles.id.md:17:1",
         "paragraph 3 follows 1"),
        ("articles.en", "{hours}", "{hour}", "articles.en.md", "{hour} inserts nothing"),
        ("articles.en", "SRV-AID, ", "", "articles.en.md", "SRV-AID is inserted 0 times"),
        ("articles.en", "SRV-AID, ", "SRV-AIDS, ", "articles.en.md", "SRV-AIDS is not a chapter"),
        ("articles.en", "## Closing\n", "", "articles.en.md", "this line does not match"),
        ("considering.id", "- bahwa setiap", "bahwa setiap", "considering.id.md:1:1", "every line of this text is"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_text_is_located(
    version: Path, edit: Edit, file: str, old: str, new: str, where: str, expected: str
) -> None:
    edit(f"text/{file}.md", old, new)

    found = "\n".join(str(finding) for finding in prose_findings(version, kediri()))

    assert f"text/{where}" in found
    assert expected in found


def test_a_missing_text_keeps_a_version_from_being_proven_and_rendered(version: Path, tmp_path: Path) -> None:
    (version / "text" / "articles.id.md").unlink()

    rendering = CliRunner().invoke(app, ["agreement", "render", str(version), "--out", str(tmp_path)])

    assert check_version(version, CITY).proof is None
    assert rendering.exit_code == 1
    assert "text/articles.id.md" in rendering.output


@pytest.mark.parametrize("fact", [*FACTS, URGENCY], ids=lambda fact: fact.name)
@pytest.mark.parametrize("language", ["id", "en"])
def test_every_condition_on_a_fact_reads_differently(fact: Fact, language: str) -> None:
    few = [frozenset(chosen) for size in (1, 2) for chosen in combinations(fact.values, size)]
    all_but_few = [frozenset(fact.values) - chosen for chosen in few]
    conditions = {Condition(fact.name, values) for values in (*few, *all_but_few) if values}
    if fact.holds_many:
        conditions |= {Condition(fact.name, none_of=values) for values in few}

    texts = [describe_condition(condition, language) for condition in conditions]

    assert all(texts)
    assert len(set(texts)) == len(conditions)

"""Printed papers: tagged PDF in both languages, each with a code that finds what was printed."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from starlette.requests import Request

from simpul_desk.papers import (
    Figures,
    Letter,
    LetterDeadline,
    LetterService,
    Recap,
    normalize_code,
    write_figures,
    write_letter,
    write_recap,
)
from simpul_desk.papers.printing import _scheme_of
from simpul_desk.papers.typesetting import typeset
from simpul_desk.wording import Wording

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LETTER = Letter(
    "R-7K3Q2M",
    "K-7K3Q-2M9F",
    "UPT PPA",
    "Rumah sakit rujukan",
    "2026-11",
    NOW,
    [
        LetterService(
            "Perawatan medis",
            "Tinggi",
            (
                LetterDeadline("Kontak dengan anak", NOW + timedelta(hours=1)),
                LetterDeadline("Tindakan medis", NOW + timedelta(hours=20)),
                LetterDeadline("Laporan ke kepolisian", None, "Paling lambat tiga hari sejak kekerasan diketahui."),
            ),
        ),
        LetterService("Visum", "Tinggi"),
    ],
    ["UU 12/2022"],
)
RECAP = Recap(
    "K-7K3Q-2M9F",
    "UPT PPA",
    "berjalan",
    NOW,
    [("Layanan cepat", "dirujuk")],
    [("Rumah sakit (R-7K3Q2M)", "Visum", "diterima")],
    [(NOW, "Kasus diputuskan.")],
)

FIGURES = Figures(
    "2026-08 - 2026-10", "UPT PPA", [("Layanan", [("YLPA", "40"), ("RS", "tidak tampil")]), ("Hak", [])], 5
)


def wording(language: str) -> Wording:
    return Wording(language, ZoneInfo("Asia/Jakarta"), NOW)


@pytest.mark.parametrize("language", ["id", "en"])
async def test_letter_and_recap_are_tagged_pdfs(language: str) -> None:
    papers = (
        write_letter(LETTER, "Kota Kediri", wording(language), is_copy=False),
        write_recap(RECAP, "Kota Kediri", wording(language)),
        write_figures(FIGURES, "Kota Kediri", wording(language)),
    )
    for paper in papers:
        pdf = await typeset(
            paper, code="7K3Q-2M9F-X0AB", address="https://desk.example/paper?code=7K3Q-2M9F-X0AB", language=language
        )

        assert pdf.startswith(b"%PDF-")
        assert b"/StructTreeRoot" in pdf
        assert b"pdfuaid:part" in pdf


def test_a_letter_names_sender_recipient_services_and_deadlines() -> None:
    letter = write_letter(LETTER, "Kota Kediri", wording("id"), is_copy=False)

    written = str(asdict(letter))
    assert letter.title == "Surat rujukan"
    assert letter.opening[0] == "Kepada Yth. Rumah sakit rujukan"
    assert ("Perawatan medis", "Tinggi", "Jumat, 27 November 2026 pukul 23.00 WIB") in letter.sections[1].rows
    assert ("Visum", "Tinggi", "-") in letter.sections[1].rows
    assert letter.sections[2].rows == (
        ("Perawatan medis", "Kontak dengan anak", "Jumat, 27 November 2026 pukul 23.00 WIB"),
        ("Perawatan medis", "Tindakan medis", "Sabtu, 28 November 2026 pukul 18.00 WIB"),
        ("Perawatan medis", "Laporan ke kepolisian", "Paling lambat tiga hari sejak kekerasan diketahui."),
    )
    assert "UU 12/2022" in written
    assert letter.signature == ("Kediri, 27 November 2026", "UPT PPA", "Nama, jabatan, dan cap")


def test_figures_say_what_is_hidden_and_what_is_empty() -> None:
    paper = write_figures(FIGURES, "Kota Kediri", wording("en"))

    assert "below 5" in paper.opening[0]
    assert paper.sections[0].rows == (("YLPA", "40"), ("RS", "tidak tampil"))
    assert paper.sections[1].text == "Nothing was counted in this period."


def test_a_copy_has_no_place_for_a_signature() -> None:
    copy = write_letter(LETTER, "Kota Kediri", wording("en"), is_copy=True)

    assert (copy.title, copy.signature) == ("Copy of the referral letter", ())


@pytest.mark.parametrize(
    "written",
    ['#panic("x") $ [ ] \\ *', "sudah \N{GRINNING FACE}", "\u6bcd", "\x07", "\u202e abc", "\ud800"],
    ids=["commands", "emoji", "chinese", "control", "direction", "surrogate"],
)
async def test_any_text_is_printed_as_far_as_the_font_goes(written: str) -> None:
    """Texts reach the typesetter as data, never as source."""
    recap = replace(RECAP, history=[(NOW, written)])
    paper = write_recap(recap, "Kota Kediri", wording("id"))

    assert (await typeset(paper, code="A", address="https://desk.example/paper", language="id")).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("7K3Q-2M9F-X0AB", "7K3Q2M9FX0AB"),
        (" 7k3q 2m9f xoab", "7K3Q2M9FX0AB"),
        ("7K3Q-2M9F-X0A", ""),
        ("7K3Q-2M9F-X0AU", ""),
        ("", ""),
        ("é" * 12, ""),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str, code: str) -> None:
    assert normalize_code(typed) == code


@pytest.mark.parametrize(
    ("host", "scheme"), [("127.0.0.1:8443", "http"), ("localhost", "http"), ("desk.kediri.example", "https")]
)
def test_the_address_on_a_paper_begins_as_the_desk_is_reached(host: str, scheme: str) -> None:
    name, _, port = host.partition(":")
    scope = {
        "type": "http",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "server": (name, int(port or 80)),
    }

    assert _scheme_of(Request(scope)) == scheme

"""Lays out the document as HTML and as a tagged PDF in both languages, byte for byte reproducible."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import typst

from simpul_agreement.document.contents import Form, contents
from simpul_agreement.document.page import write_page
from simpul_agreement.languages import format_count, translator
from simpul_agreement.model import Agreement
from simpul_agreement.simulate import Year
from simpul_city import City
from simpul_schema.translations import LANGUAGES

_TEMPLATES: Final = files("simpul_agreement") / "templates"
_PDF_STANDARD: Final = "ua-1"
"""Tagged PDF that screen readers can read aloud."""


def render(folder: Path, agreement: Agreement, city: City, out: Path, form: Form = Form.AGREEMENT) -> list[Path]:
    """Writes the document as PDF and HTML in both languages; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    source = (_TEMPLATES / "agreement.typ").read_bytes()
    written = []
    for language in LANGUAGES:
        content = contents(folder, agreement, city, language, form)
        stem = f"{form.value}-{agreement.version}.{language}"
        pdf = out / f"{stem}.pdf"
        pdf.write_bytes(_compiled(source, content, "pdf"))
        html = out / f"{stem}.html"
        html.write_text(write_page(folder, agreement, city, language, form), encoding="utf-8")
        written += [pdf, html]
    return written


def picture_of(year: Year, agreement: Agreement, city: City, language: str) -> bytes:
    """The workload of a simulated year as an SVG picture."""
    _ = translator(language)
    names = {agency.code: agency.name for agency in city.agencies}
    rows = [
        {
            "name": names.get(code, _("Task forces of the kelurahan")),
            "referrals": load.referrals,
            "met": load.met_share,
            "escalated": load.escalated,
        }
        for code, load in year.rows()
    ]
    content = {
        "title": f"{agreement.title.in_language(language)}, {agreement.version}",
        "subtitle": _("{count} invented reports in one year").format(count=format_count(year.reports, language)),
        "in_time": _("in time"),
        "late": _("escalated"),
        "by_month": _("referrals in each month"),
        "rows": rows,
        "months": list(year.by_month),
    }
    return _compiled((_TEMPLATES / "year.typ").read_bytes(), content, "svg")


def _compiled(source: bytes, content: dict[str, Any], form: Literal["pdf", "svg"]) -> bytes:
    # Only fonts inside the compiler are used, so another machine produces the same pages.
    return typst.compile(
        source,
        format=form,
        sys_inputs={"content": json.dumps(content)},
        ignore_system_fonts=True,
        pdf_standards=[_PDF_STANDARD] if form == "pdf" else [],
    )

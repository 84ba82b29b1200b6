"""Renders the agreement as a document to sign: HTML and PDF in both languages, byte for byte reproducible."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import typst
from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agreement import Proof, digest_of
from simpul_agreement.facts import TimeBand
from simpul_agreement.implications import IMPLICATIONS
from simpul_agreement.model import (
    Agreement,
    Clause,
    ClockRuns,
    Disclosure,
    Party,
    Section,
    ServiceNeeded,
)
from simpul_agreement.phrases import (
    clause_sentence,
    describe_condition,
    describe_duration,
    describe_effect,
    describe_implication,
    describe_party,
    describe_source,
)
from simpul_agreement.properties import PROPERTIES
from simpul_agreement.simulate import Year
from simpul_agreement.versions import signatories
from simpul_city import City
from simpul_schema.vocabulary import Right, Service

_TEMPLATES: Final = files("simpul_agreement") / "templates"


def render(folder: Path, agreement: Agreement, city: City, out: Path) -> list[Path]:
    """Write the document as PDF and HTML in both languages; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    environment = Environment(loader=PackageLoader("simpul_agreement"), autoescape=True, undefined=StrictUndefined)
    source = (_TEMPLATES / "agreement.typ").read_bytes()
    written = []
    for language in ("id", "en"):
        content = contents(folder, agreement, city, language)
        stem = f"agreement-{agreement.version}.{language}"
        pdf = out / f"{stem}.pdf"
        # Only fonts inside the compiler are used, so another machine produces the same pages.
        pdf.write_bytes(_compiled(source, content, "pdf"))
        html = out / f"{stem}.html"
        html.write_text(environment.get_template("agreement.html").render(**content), encoding="utf-8")
        written += [pdf, html]
    return written


def picture_of(year: Year, agreement: Agreement, city: City) -> bytes:
    """The workload of a simulated year as an SVG picture."""
    names = {agency.code: agency.name for agency in city.agencies}
    rows = [
        {"name": names.get(code, f"Satgas PPA kelurahan {code}"), "referrals": load.referrals, "met": load.met_share,
         "escalated": load.escalated}
        for code, load in year.rows()
    ]  # fmt: skip
    content = {"title": agreement.title.id, "version": agreement.version, "reports": year.reports, "rows": rows,
               "months": list(year.by_month)}  # fmt: skip
    return _compiled((_TEMPLATES / "year.typ").read_bytes(), content, "svg")


def _compiled(source: bytes, content: dict[str, Any], form: Literal["pdf", "svg"]) -> bytes:
    return typst.compile(source, format=form, sys_inputs={"content": json.dumps(content)}, ignore_system_fonts=True)


def contents(folder: Path, agreement: Agreement, city: City, language: str) -> dict[str, Any]:
    """The contents of the document as plain values."""
    proof = Proof.read(folder)
    digest = digest_of(folder)
    proven = proof is not None and proof.digest == digest
    return {
        "language": language,
        "t": _HEADINGS[language],
        "title": agreement.title.in_language(language),
        "city": city.name,
        "version": agreement.version,
        "date": [agreement.active_from.year, agreement.active_from.month, agreement.active_from.day],
        "digest": digest,
        "is_proven": proven,
        "situations": f"{proof.situations:,}".replace(",", "." if language == "id" else ",") if proof else "",
        "questions": proof.questions if proof else 0,
        "clause_count": len(agreement.clauses),
        "properties": [wanted.text.in_language(language) for wanted in PROPERTIES],
        "parties": [_party(party, language) for party in agreement.parties if party.kind],
        "informed": [_party(party, language) for party in agreement.parties if not party.kind],
        "signers": [*_signers(agreement, city, language), _HEADINGS[language]["knows"]],
        "services": _services(agreement, language),
        "implications": [
            describe_implication(
                implication, "; ".join(describe_condition(c, language) for c in implication.when), language
            )
            for implication in IMPLICATIONS
        ],
        "chapters": [
            {"title": chapter.title.in_language(language), "clauses": [
                {"id": clause.id, "text": clause_sentence(clause, agreement, language),
                 "source": describe_source(clause.source, language)}
                for clause in agreement.clauses if clause.chapter == chapter.id
            ]}
            for chapter in agreement.chapters
        ],
        "clocks": [_clock(clause, agreement, language) for clause in agreement.clauses
                   if isinstance(clause.effect, ClockRuns)],
        "escalation": [describe_effect(clause, agreement, language) for clause in agreement.clauses
                   if clause.topic[0] == "escalation"],
        "retention": [describe_effect(clause, agreement, language) for clause in agreement.clauses
                      if clause.topic[0] == "retention"],
        "sections": [section.label(language) for section in Section],
        "disclosure": [
            {"service": clause.effect.service.label(language),
             "open": [section in clause.effect.sections for section in Section]}
            for clause in agreement.clauses if isinstance(clause.effect, Disclosure)
        ],
        "kelurahan": [
            {"kecamatan": name, "names": [f"{w.name} ({w.code})" for w in city.kelurahan if w.kecamatan == name]}
            for name in dict.fromkeys(ward.kecamatan for ward in city.kelurahan)
        ],
    }  # fmt: skip


def _signers(agreement: Agreement, city: City, language: str) -> list[str]:
    """The names of the parties that sign, each agency of a kind by its own name."""
    names = {agency.code: agency.name for agency in city.agencies}
    return [
        agreement.party_of[code].name.in_language(language) if code in agreement.party_of else names[code]
        for code in signatories(agreement, city)
    ]


def _party(party: Party, language: str) -> dict[str, Any]:
    return {
        "name": party.name.in_language(language),
        "mandate": party.mandate.in_language(language),
        "area": party.area.in_language(language),
        "open": ", ".join(band.label(language) for band in TimeBand if band in party.open_in) or "-",
        "duty": ", ".join(band.label(language) for band in TimeBand if band in party.duty_in) or "-",
    }


def _services(agreement: Agreement, language: str) -> list[dict[str, Any]]:
    """The parties of each service, by right; the clauses have the conditions."""
    rows = []
    for right in Right:
        listed: set[Service] = set()
        for clause in agreement.clauses:
            match clause.effect:
                case ServiceNeeded(service=service, right=of, lead=lead, support=support) if of is right:
                    if service not in listed:
                        rows.append({
                            "right": right.label(language), "service": service.label(language),
                            "lead": describe_party(agreement, lead[0], language),
                            "else": ", ".join(describe_party(agreement, s, language) for s in lead[1:]),
                            "support": ", ".join(describe_party(agreement, s, language) for s in support),
                        })  # fmt: skip
                    listed.add(service)
                case _:
                    continue
    return rows


def _clock(clause: Clause, agreement: Agreement, language: str) -> dict[str, str]:
    effect = clause.effect
    assert isinstance(effect, ClockRuns)  # noqa: S101 - chosen so by the caller
    when = "; ".join(describe_condition(condition, language) for condition in clause.when)
    of = f" ({effect.service.label(language)})" if effect.service else ""
    return {
        "name": effect.clock.label(language) + of, "within": describe_duration(effect.within, language),
        "when": when or ("selalu" if language == "id" else "always"),
        "since": effect.since.in_language(language) if effect.since else "",
        "source": describe_source(clause.source, language),
    }  # fmt: skip


_HEADINGS: Final[dict[str, dict[str, str]]] = {
    "id": {
        "kicker": "Kesepakatan bersama", "version": "Versi", "active": "Berlaku sejak", "parties": "Para pihak",
        "party": "Pihak", "mandate": "Mandat", "area": "Wilayah", "hours": "Jam layanan", "duty": "Petugas jaga",
        "informed": "Pihak yang hanya diberi tahu", "services": "Siapa melayani apa", "right": "Hak anak",
        "service": "Layanan", "lead": "Penanggung jawab", "else": "Bila tidak dapat", "support": "Pendukung",
        "deadlines": "Tenggat dan dasarnya", "deadline": "Tenggat", "when": "Bila", "source": "Dasar",
        "escalation": "Jenjang eskalasi", "disclosure": "Data yang dibuka", "retention": "Masa simpan",
        "implications": "Yang disimpulkan dari fakta lain, apa pun bentuk kekerasan yang dilaporkan",
        "clauses": "Ketentuan", "annex": "Lampiran: kelurahan", "kelurahan": "kelurahan",
        "knows": "Mengetahui: Wali Kota",
        "proof": "Bukti kelengkapan", "signatures": "Tanda tangan", "name": "Nama dan tanda tangan", "date": "Tanggal",
        "disclosure_intro": "Setelah menerima rujukan, instansi melihat hanya yang dibutuhkan layanannya.",
        "proven": "Dua alat pembuktian yang dibuat terpisah memeriksa setiap keadaan yang mungkin, tanpa "
                  "pencuplikan dan tanpa pengecualian: tidak ada celah, tidak ada tumpang tindih, tidak ada ketentuan "
                  "mati, dan setiap jaminan di bawah ini berlaku.",
        "unproven": "RANCANGAN: versi ini belum dibuktikan dan belum boleh ditandatangani.",
        "situations": "keadaan", "questions": "pertanyaan", "digest": "Sidik teks (SHA-256)",
        "lawyer": "Ketentuan bertanda «default proyek» belum ditetapkan kota; yang bertanda «perlu diperiksa ahli "
                  "hukum» diambil dari sumber sekunder.",
    },
    "en": {
        "kicker": "Agreement", "version": "Version", "active": "In force from", "parties": "The parties",
        "party": "Party", "mandate": "Mandate", "area": "Area", "hours": "Office open", "duty": "On duty",
        "informed": "Parties that are only informed", "services": "Who serves what", "right": "Right of the child",
        "service": "Service", "lead": "Lead", "else": "Where the lead cannot", "support": "Support",
        "deadlines": "Deadlines and their basis", "deadline": "Deadline", "when": "When", "source": "Basis",
        "escalation": "Escalation levels", "disclosure": "Data that is disclosed", "retention": "Retention",
        "implications": "Implied by other facts, whatever kind of violence is reported",
        "clauses": "Clauses", "annex": "Annex: kelurahan", "knows": "Acknowledged: the Mayor", "kelurahan": "kelurahan",
        "proof": "Proof of completeness", "signatures": "Signatures", "name": "Name and signature", "date": "Date",
        "disclosure_intro": "Once it has accepted a referral, an agency sees only what its service needs.",
        "proven": "Two independent provers checked every possible situation, without sampling and without exception: "
                  "there is no gap, no overlap and no dead clause, and each of the guarantees below holds.",
        "unproven": "DRAFT: this version is not proven and must not be signed.",
        "situations": "situations", "questions": "questions", "digest": "Fingerprint of the text (SHA-256)",
        "lawyer": "Clauses marked «project default» are not set by the city; those marked «needs a lawyer» come from "
                  "secondary sources.",
    },
}  # fmt: skip

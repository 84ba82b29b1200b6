"""The agreement as a document to sign: HTML and PDF, in both languages, the same bytes each time."""

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
    condition_words,
    effect_words,
    implication_words,
    party_words,
    sentence,
    source_words,
    within_words,
)
from simpul_agreement.properties import PROPERTIES
from simpul_agreement.simulate import Year
from simpul_agreement.versions import signatories
from simpul_city import City
from simpul_schema.vocabulary import Right, Service

_TEMPLATES: Final = files("simpul_agreement") / "templates"


def render(folder: Path, agreement: Agreement, city: City, out: Path) -> list[Path]:
    """Write the document in both languages as PDF and HTML; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    environment = Environment(loader=PackageLoader("simpul_agreement"), autoescape=True, undefined=StrictUndefined)
    source = (_TEMPLATES / "agreement.typ").read_bytes()
    written = []
    for language in ("id", "en"):
        content = contents(folder, agreement, city, language)
        stem = f"agreement-{agreement.version}.{language}"
        pdf = out / f"{stem}.pdf"
        # Only fonts that travel with the compiler: another machine then sets the same pages.
        pdf.write_bytes(_compiled(source, content, "pdf"))
        html = out / f"{stem}.html"
        html.write_text(environment.get_template("agreement.html").render(**content), encoding="utf-8")
        written += [pdf, html]
    return written


def picture_of(year: Year, agreement: Agreement, city: City) -> bytes:
    """A year's load as an SVG picture."""
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
    """Everything the document says, as plain values."""
    proof = Proof.read(folder)
    digest = digest_of(folder)
    proven = proof is not None and proof.digest == digest
    return {
        "language": language,
        "t": _HEADINGS[language],
        "title": agreement.title.of(language),
        "city": city.name,
        "version": agreement.version,
        "date": [agreement.active_from.year, agreement.active_from.month, agreement.active_from.day],
        "digest": digest,
        "is_proven": proven,
        "situations": f"{proof.situations:,}".replace(",", "." if language == "id" else ",") if proof else "",
        "questions": proof.questions if proof else 0,
        "clause_count": len(agreement.clauses),
        "properties": [wanted.words.of(language) for wanted in PROPERTIES],
        "parties": [_party(party, language) for party in agreement.parties if party.kind],
        "told": [_party(party, language) for party in agreement.parties if not party.kind],
        "signers": [*_signers(agreement, city, language), _HEADINGS[language]["knows"]],
        "services": _services(agreement, language),
        "implications": [
            implication_words(
                implication, "; ".join(condition_words(c, language) for c in implication.when), language
            )
            for implication in IMPLICATIONS
        ],
        "chapters": [
            {"title": chapter.title.of(language), "clauses": [
                {"id": clause.id, "text": sentence(clause, agreement, language),
                 "source": source_words(clause.source, language)}
                for clause in agreement.clauses if clause.chapter == chapter.id
            ]}
            for chapter in agreement.chapters
        ],
        "clocks": [_clock(clause, agreement, language) for clause in agreement.clauses
                   if isinstance(clause.effect, ClockRuns)],
        "ladder": [effect_words(clause, agreement, language) for clause in agreement.clauses
                   if clause.topic[0] == "ladder"],
        "retention": [effect_words(clause, agreement, language) for clause in agreement.clauses
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
    """Each party that signs; of a kind with many, each of them by its own name."""
    names = {agency.code: agency.name for agency in city.agencies}
    return [
        agreement.party_of[code].name.of(language) if code in agreement.party_of else names[code]
        for code in signatories(agreement, city)
    ]


def _party(party: Party, language: str) -> dict[str, Any]:
    return {
        "name": party.name.of(language), "mandate": party.mandate.of(language), "area": party.area.of(language),
        "open": ", ".join(band.label(language) for band in TimeBand if band in party.open_in) or "-",
        "duty": ", ".join(band.label(language) for band in TimeBand if band in party.duty_in) or "-",
    }  # fmt: skip


def _services(agreement: Agreement, language: str) -> list[dict[str, Any]]:
    """Who leads each service, by right; the condition stands in the clauses."""
    rows = []
    for right in Right:
        seen: set[Service] = set()
        for clause in agreement.clauses:
            match clause.effect:
                case ServiceNeeded(service=service, right=of, lead=lead, support=support) if of is right:
                    if service not in seen:
                        rows.append({
                            "right": right.label(language), "service": service.label(language),
                            "lead": party_words(agreement, lead[0], language),
                            "else": ", ".join(party_words(agreement, s, language) for s in lead[1:]),
                            "support": ", ".join(party_words(agreement, s, language) for s in support),
                        })  # fmt: skip
                    seen.add(service)
                case _:
                    continue
    return rows


def _clock(clause: Clause, agreement: Agreement, language: str) -> dict[str, str]:
    effect = clause.effect
    assert isinstance(effect, ClockRuns)  # noqa: S101 - chosen so by the caller
    when = "; ".join(condition_words(condition, language) for condition in clause.when)
    of = f" ({effect.service.label(language)})" if effect.service else ""
    return {
        "name": effect.clock.label(language) + of, "within": within_words(effect.within, language),
        "when": when or ("selalu" if language == "id" else "always"),
        "since": effect.since.of(language) if effect.since else "", "source": source_words(clause.source, language),
    }  # fmt: skip


_HEADINGS: Final[dict[str, dict[str, str]]] = {
    "id": {
        "kicker": "Kesepakatan bersama", "version": "Versi", "active": "Berlaku sejak", "parties": "Para pihak",
        "party": "Pihak", "mandate": "Mandat", "area": "Wilayah", "hours": "Jam layanan", "duty": "Petugas jaga",
        "told": "Pihak yang hanya diberi tahu", "services": "Siapa melayani apa", "right": "Hak anak",
        "service": "Layanan", "lead": "Penanggung jawab", "else": "Bila tidak dapat", "support": "Pendukung",
        "deadlines": "Tenggat dan dasarnya", "deadline": "Tenggat", "when": "Bila", "source": "Dasar",
        "ladder": "Jenjang eskalasi", "disclosure": "Data yang dibuka", "retention": "Masa simpan",
        "implications": "Yang disimpulkan dari fakta lain, apa pun bentuk kekerasan yang dilaporkan",
        "clauses": "Ketentuan", "annex": "Lampiran: kelurahan", "kelurahan": "kelurahan",
        "knows": "Mengetahui: Wali Kota",
        "proof": "Bukti kelengkapan", "signatures": "Tanda tangan", "name": "Nama dan tanda tangan", "date": "Tanggal",
        "disclosure_words": "Setelah menerima rujukan, instansi melihat hanya yang dibutuhkan layanannya.",
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
        "told": "Parties that are only told", "services": "Who serves what", "right": "Right of the child",
        "service": "Service", "lead": "Lead", "else": "Where it cannot", "support": "Support",
        "deadlines": "Deadlines and their basis", "deadline": "Deadline", "when": "When", "source": "Basis",
        "ladder": "Escalation ladder", "disclosure": "Data that is disclosed", "retention": "Retention",
        "implications": "What other facts imply, whatever kind of violence is reported",
        "clauses": "Clauses", "annex": "Annex: kelurahan", "knows": "Acknowledged: the Mayor", "kelurahan": "kelurahan",
        "proof": "Proof of completeness", "signatures": "Signatures", "name": "Name and signature", "date": "Date",
        "disclosure_words": "Once it has accepted a referral, an agency sees only what its service needs.",
        "proven": "Two independent provers looked at every possible situation, without sampling and without exception: "
                  "there is no gap, no overlap and no dead clause, and each of the guarantees below holds.",
        "unproven": "DRAFT: this version is not proven and must not be signed.",
        "situations": "situations", "questions": "questions", "digest": "Fingerprint of the text (SHA-256)",
        "lawyer": "Clauses marked «project default» are not set by the city; those marked «needs a lawyer» come from "
                  "secondary sources.",
    },
}  # fmt: skip

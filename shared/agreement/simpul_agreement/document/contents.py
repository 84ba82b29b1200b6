"""Puts the document together as plain values, which every form lays out without adding or numbering anything."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from simpul_agreement.document.annexes import Annex, proof_annex, table_annexes, wards_annex
from simpul_agreement.document.articles import describe_form, read_parts
from simpul_agreement.document.dates import format_day
from simpul_agreement.document.flow_chart import draw_flow_chart, flow_steps
from simpul_agreement.document.open_points import open_points
from simpul_agreement.document.parties import BLANK, SigningParty, signing_parties
from simpul_agreement.document.prose import read_blocks
from simpul_agreement.document.structure import Part
from simpul_agreement.findings import AgreementInvalid, Finding
from simpul_agreement.languages import translator, with_capital
from simpul_agreement.model import Agreement
from simpul_agreement.proof import Proof, digest_of
from simpul_agreement.versions import has_interim_declaration, unsigned_parties
from simpul_city import City
from simpul_schema.translations import gettext_noop

_ROMAN: Final = ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
_DICTUMS: Final = (
    gettext_noop("FIRST"),
    gettext_noop("SECOND"),
    gettext_noop("THIRD"),
    gettext_noop("FOURTH"),
    gettext_noop("FIFTH"),
    gettext_noop("SIXTH"),
)


class Form(StrEnum):
    """The two forms in which a city may adopt the same provisions."""

    AGREEMENT = "agreement"
    DECREE = "decree"


@dataclass(frozen=True, slots=True)
class Section:
    """A section before the parts: a heading, a sentence, or items with their numbers."""

    heading: str = ""
    text: str = ""
    items: tuple[tuple[str, str], ...] = ()


def contents(folder: Path, agreement: Agreement, city: City, language: str, form: Form) -> dict[str, Any]:
    """The contents of the document; raises AgreementInvalid where a text is missing."""
    _ = translator(language)
    digest, proof = digest_of(folder), Proof.read(folder)
    proof = proof if proof and proof.is_of(agreement, digest) else None
    parts, numbering = read_parts(folder, agreement, city, language, form.value)
    signing = signing_parties(agreement, city, language)
    # The mayor alone signs a decree.
    named = signing if form is Form.AGREEMENT else ()
    unsigned = _unsigned_interim(folder, agreement, city) if form is Form.AGREEMENT else []
    points = open_points(agreement, numbering, named, language, is_proven=proof is not None, unsigned_interim=unsigned)
    annexes = [
        *table_annexes(agreement, numbering, language),
        _flow_annex(agreement, language),
        wards_annex(city, language),
        proof_annex(agreement, proof, digest, language),
    ]
    draft = _("INTERIM") if unsigned else _("DRAFT")
    title = agreement.title.in_language(language)
    return {
        "language": language,
        "form": form.value,
        "title": title,
        "headings": _headings(agreement, city, signing, language, form),
        "version": _("Version {version}").format(version=agreement.version),
        "date": [agreement.active_from.year, agreement.active_from.month, agreement.active_from.day],
        "draft": draft if points else "",
        "draft_line": f"{draft}: {'; '.join(point.summary for point in points)}" if points else "",
        "open_title": _("Open points"),
        "open": [{"summary": with_capital(point.summary), "details": point.details} for point in points],
        "opening": [asdict(section) for section in _opening(folder, agreement, city, signing, language, form)],
        "provisions_title": _("Annex to the decree") if form is Form.DECREE else "",
        "parts": _numbered(parts, language),
        "closing": _("Made and signed on the day and date stated at the beginning."),
        "signatures_title": _("Signatures"),
        "signatures": _signatures(agreement, city, signing, language, form),
        "annexes": [_annex(number, annex, language) for number, annex in enumerate(annexes, 1)],
        "page": _("page"),
    }


def _unsigned_interim(folder: Path, agreement: Agreement, city: City) -> list[str]:
    """The names of the parties that have not signed a version which the hub declared as interim."""
    if not has_interim_declaration(folder):
        return []
    names = {agency.code: agency.name for agency in city.agencies}
    return [names[code] for code in unsigned_parties(folder, agreement, city)]


def _headings(
    agreement: Agreement, city: City, signing: Sequence[SigningParty], language: str, form: Form
) -> list[str]:
    _ = translator(language)
    number = _("NUMBER: {number}").format(number=agreement.number or BLANK)
    title = agreement.title.in_language(language).upper()
    if form is Form.DECREE:
        return [_("DECREE OF THE MAYOR OF {city}").format(city=_city_name(city)), number, _("ON"), title]
    entities = list(dict.fromkeys(signer.entity.upper() for signer in signing))
    return [_("COOPERATION AGREEMENT"), _("BETWEEN"), *entities, _("ON"), title, number]


def _city_name(city: City) -> str:
    return city.name.removeprefix("Kota ").upper()


def _opening(
    folder: Path, agreement: Agreement, city: City, signing: Sequence[SigningParty], language: str, form: Form
) -> list[Section]:
    _ = translator(language)
    considering = _items("considering", folder, agreement, city, language)
    basis = _items("legal-basis", folder, agreement, city, language)
    recitals = [
        Section(_("Considering"), items=tuple((f"{chr(ord('a') + n)}.", text) for n, text in enumerate(considering))),
        Section(_("In view of"), items=tuple((f"{n}.", text) for n, text in enumerate(basis, 1))),
    ]
    if form is Form.DECREE:
        dictums = _items("decree", folder, agreement, city, language)
        labelled = tuple((_(_DICTUMS[n]), with_capital(text)) for n, text in enumerate(dictums))
        mayor = _("THE MAYOR OF {city}").format(city=_city_name(city))
        return [Section(text=f"{mayor},"), *recitals, Section(_("DECIDES:"), items=labelled)]
    day = _("On this day, {blank}, the date {blank}, in {place}, the undersigned:").format(
        blank=BLANK[:24], place=city.name
    )
    appearing = tuple(
        (f"{n}.", f"{_appearance(signer, language)}{'.' if n == len(signing) else ';'}")
        for n, signer in enumerate(signing, 1)
    )
    together = _(
        "Together they are called the PARTIES, and each of them a PARTY. The PARTIES first state the following:"
    )
    agree = _("On this basis the PARTIES agree on cooperation, with the following provisions:")
    return [Section(_("Parties"), day, appearing), Section(text=together), *recitals, Section(text=agree)]


def _appearance(signer: SigningParty, language: str) -> str:
    _ = translator(language)
    return _(
        "{person}, {office}, acting for {entity}, {authority}, with its seat at {address}, called {called}"
    ).format(
        person=signer.person or BLANK,
        office=signer.office or BLANK,
        entity=signer.entity,
        authority=signer.authority or BLANK,
        address=signer.address or BLANK,
        called=signer.called,
    )


def _items(name: str, folder: Path, agreement: Agreement, city: City, language: str) -> list[str]:
    findings: list[Finding] = []
    blocks = read_blocks(folder, name, language, findings)
    if findings:
        raise AgreementInvalid(findings)
    until = agreement.valid_until
    values = {
        "this": describe_form(Form.DECREE if name == "decree" else Form.AGREEMENT, language),
        "city": city.name,
        "active_from": format_day(agreement.active_from.date(), language),
        "valid_until": format_day(until, language) if until else BLANK,
    }
    return [block.text.format_map(values) for block in blocks]


def _numbered(parts: Iterable[Part], language: str) -> list[dict[str, Any]]:
    _ = translator(language)
    return [
        {
            "number": _("PART {number}").format(number=roman(part.number)),
            "title": part.title,
            "articles": [
                {
                    "number": _("Article {article}").format(article=article.number),
                    "title": article.title,
                    "paragraphs": [
                        {
                            "number": f"({number})" if len(article.paragraphs) > 1 else "",
                            "text": paragraph.text,
                            "items": [
                                [f"{chr(ord('a') + position)}.", item] for position, item in enumerate(paragraph.items)
                            ],
                            "clause": paragraph.clause.id if paragraph.clause else "",
                        }
                        for number, paragraph in enumerate(article.paragraphs, 1)
                    ],
                }
                for article in part.articles
            ],
        }
        for part in parts
    ]


def roman(number: int) -> str:
    """A number below 40 in Roman numerals."""
    text = ""
    for value, letters in _ROMAN:
        while number >= value:
            text += letters
            number -= value
    return text


def _signatures(
    agreement: Agreement, city: City, signing: Sequence[SigningParty], language: str, form: Form
) -> list[dict[str, str]]:
    _ = translator(language)
    mayor = {
        "called": _("Acknowledged"),
        "entity": _("Mayor of {city}").format(city=_city_name(city).title()),
        "stamp": "",
        "person": BLANK,
        "office": "",
    }
    if form is Form.DECREE:
        place = _("Enacted in {place} on {blank}").format(place=city.name, blank=BLANK[:24])
        return [mayor | {"called": place}]
    stamp = _("Stamp duty Rp10,000")
    return [
        {
            "called": signer.called,
            "entity": signer.entity,
            "stamp": stamp,
            "person": signer.person or BLANK,
            "office": signer.office,
        }
        for signer in signing
    ] + [mayor]


def _flow_annex(agreement: Agreement, language: str) -> Annex:
    _ = translator(language)
    described = tuple(" ".join(filter(None, step)) for step in flow_steps(agreement, language))
    intro = _("The way of a report, from its receipt to the end of the case.")
    return Annex(_("Flow chart"), intro, picture=draw_flow_chart(agreement, language), picture_text=described)


def _annex(number: int, annex: Annex, language: str) -> dict[str, Any]:
    _ = translator(language)
    return asdict(annex) | {"number": _("ANNEX {number}").format(number=roman(number))}

"""The annexes: who serves what, deadlines, escalation, disclosure, sources, wards and the certificate of the proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simpul_agreement.document.articles import Numbering
from simpul_agreement.languages import format_count, join_all, translator, with_capital
from simpul_agreement.model import Agreement, Clause, ClockRuns, Disclosure, PlanDeadline, Section, ServiceNeeded
from simpul_agreement.phrases import (
    clock_name,
    describe_conditions,
    describe_duration,
    describe_effect,
    describe_party,
    describe_source,
    finds_provider,
)
from simpul_agreement.proof import Proof
from simpul_agreement.properties import PROPERTIES
from simpul_city import City
from simpul_schema.vocabulary import Right

_MARK: Final = "●"
_WITHOUT_CONSENT: Final = "●*"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its header; widths are shares of the page."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    centred: bool = False
    """Whether all columns but the first are marks."""


@dataclass(frozen=True, slots=True)
class Annex:
    """One annex: a sentence, then a table, lists or a picture."""

    title: str
    intro: str
    table: Table | None = None
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    columns: int = 1
    """Columns of the lists."""
    picture: str = ""
    """An SVG picture; `picture_text` says the same in words."""
    picture_text: tuple[str, ...] = ()


def services_annex(agreement: Agreement, numbering: Numbering, language: str) -> Annex:
    """The parties of each service, by right."""
    _ = translator(language)
    rows = []
    for right in Right:
        by_need: dict[ServiceNeeded, list[str]] = {}
        for clause in agreement.clauses:
            if isinstance(clause.effect, ServiceNeeded) and clause.effect.right is right:
                by_need.setdefault(clause.effect, []).append(clause.id)
        for need, clauses in by_need.items():
            first = describe_party(agreement, need.lead[0], language)
            others = [_alternate(agreement, selector, need, language) for selector in need.lead[1:]]
            supporting = [describe_party(agreement, selector, language) for selector in need.support]
            rows.append(
                (
                    right.label(language),
                    need.service.label(language),
                    first,
                    "; ".join(others) or "-",
                    "; ".join(supporting) or "-",
                    with_capital(need.phase.label(language)),
                    numbering.describe(clauses, language),
                )
            )
    header = (
        _("Right"),
        _("Service"),
        _("Lead"),
        _("Alternates, in order"),
        _("Support"),
        _("Offered"),
        _("Provision"),
    )
    intro = _("Each service has exactly one lead at a time; the provisions state when the service is needed.")
    return Annex(_("Who serves what"), intro, Table(header, tuple(rows), (13, 13, 18, 17, 15, 11, 13)))


def _alternate(agreement: Agreement, selector: str, need: ServiceNeeded, language: str) -> str:
    _ = translator(language)
    party = describe_party(agreement, selector, language)
    if finds_provider(selector, need.service, agreement):
        return _("{party} (finds another provider)").format(party=party)
    return party


def deadlines_annex(agreement: Agreement, numbering: Numbering, language: str) -> Annex:
    """Every deadline with its condition, source and status."""
    _ = translator(language)
    rows = tuple(
        (
            *_deadline(clause.effect, language),
            with_capital(describe_conditions(clause.when, language) or _("always")),
            describe_source(clause.source, language),
            numbering.describe([clause.id], language),
        )
        for clause in agreement.clauses
        if isinstance(clause.effect, ClockRuns | PlanDeadline)
    )
    header = (_("Obligation"), _("Deadline"), _("Counted"), _("Condition"), _("Source"), _("Provision"))
    intro = _("Receipt, answer, contact and beginning are due for every referral; the others by law or by agreement.")
    return Annex(_("Deadlines and their sources"), intro, Table(header, rows, (18, 11, 13, 22, 24, 12)))


def _deadline(effect: ClockRuns | PlanDeadline, language: str) -> tuple[str, str, str]:
    """The obligation, its time, and the event that starts it."""
    _ = translator(language)
    within = describe_duration(effect.within, language)
    if isinstance(effect, PlanDeadline):
        return _("Confirmation of the service plan"), within, _("after the plan was proposed")
    since = effect.since.in_language(language) if effect.since else _("after the referral was sent")
    return clock_name(effect, language), within, since


def escalation_annex(agreement: Agreement, numbering: Numbering, language: str) -> Annex:
    """Who is informed at each step, and the level above each party."""
    _ = translator(language)
    steps = tuple(
        f"{with_capital(describe_effect(clause, agreement, language))} ({numbering.describe([clause.id], language)})."
        for clause in agreement.clauses
        if clause.topic[0] == "escalation"
    )
    above = tuple(
        (party.name.in_language(language), describe_party(agreement, party.above, language) if party.above else "-")
        for party in agreement.parties
        if party.kind or party.above
    )
    header = (_("Party"), _("Next escalation level"))
    intro = _("A party that is excluded from a case is skipped at every step.")
    return Annex(_("Escalation levels"), intro, Table(header, above, (50, 50)), ((_("Steps"), steps),))


def disclosure_annex(agreement: Agreement, numbering: Numbering, language: str) -> Annex:
    """The sections that the agency of each service sees once it has accepted."""
    _ = translator(language)
    rows = tuple(
        (
            clause.effect.service.label(language),
            *(_mark(clause.effect, section) for section in Section),
            numbering.describe([clause.id], language),
        )
        for clause in agreement.clauses
        if isinstance(clause.effect, Disclosure)
    )
    header = (_("Service"), *(section.label(language) for section in Section), _("Provision"))
    intro = _(
        "Once it has accepted a referral, an agency sees only what its service needs (●); with an asterisk (●*) also "
        "where identity is disclosed on a consent and nobody has consented yet."
    )
    return Annex(_("Disclosure of data"), intro, Table(header, rows, (24, 10, 10, 10, 10, 10, 10, 16), centred=True))


def _mark(disclosure: Disclosure, section: Section) -> str:
    if section in disclosure.without_consent:
        return _WITHOUT_CONSENT
    return _MARK if section in disclosure.sections else ""


def sources_annex(agreement: Agreement, numbering: Numbering, language: str) -> Annex:
    """The provisions that rest on each source."""
    _ = translator(language)
    by_source: dict[str, list[Clause]] = {}
    for clause in agreement.clauses:
        by_source.setdefault(describe_source(clause.source, language), []).append(clause)
    rows = tuple(
        (source, numbering.describe((clause.id for clause in clauses), language))
        for source, clauses in by_source.items()
    )
    return Annex(
        _("Sources of the provisions"),
        _("Every provision names its source and how reliable that source is."),
        Table((_("Source"), _("Provisions")), rows, (50, 50)),
    )


def wards_annex(city: City, language: str) -> Annex:
    """The wards of the city, by district."""
    _ = translator(language)
    groups = {
        kecamatan: tuple(f"{ward.name} ({ward.code})" for ward in city.kelurahan if ward.kecamatan == kecamatan)
        for kecamatan in dict.fromkeys(ward.kecamatan for ward in city.kelurahan)
    }
    lists = tuple((_("Kecamatan {name}").format(name=name), wards) for name, wards in groups.items())
    return Annex(_("Kelurahan"), _("{city} has these kelurahan.").format(city=city.name), lists=lists, columns=3)


def proof_annex(agreement: Agreement, proof: Proof | None, digest: str, language: str) -> Annex:
    """The certificate of the proof, with the digest of the text that it covers."""
    _ = translator(language)
    title = _("Certificate of completeness")
    fingerprint = _("Fingerprint of the text (SHA-256): {digest}").format(digest=digest)
    if proof is None:
        intro = _("DRAFT: this version is not proven and must not be signed.")
        return Annex(title, intro, lists=((_("Text"), (fingerprint,)),))
    intro = _(
        "Two independent provers checked every possible situation, without sampling and without exception: there is "
        "no gap, no overlap and no dead provision, and each of the guarantees below holds."
    )
    covered = (
        _("Situations: {count}").format(count=format_count(proof.situations, language)),
        _("Provisions: {count}").format(count=len(agreement.clauses)),
        _("Questions: {count}").format(count=proof.questions),
        _("Provers: {provers}").format(provers=join_all(proof.provers, language)),
        fingerprint,
    )
    guarantees = tuple(f"{_(wanted.text)}." for wanted in PROPERTIES)
    return Annex(title, intro, lists=((_("What was checked"), covered), (_("Guarantees"), guarantees)))


def table_annexes(agreement: Agreement, numbering: Numbering, language: str) -> Sequence[Annex]:
    """The annexes that are tables of provisions."""
    made = (services_annex, deadlines_annex, escalation_annex, disclosure_annex, sources_annex)
    return [make(agreement, numbering, language) for make in made]

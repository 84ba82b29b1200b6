"""Provisions that are generated from the parties, hours and facts which the engine reads."""

from collections.abc import Sequence

from simpul_agreement.document.dates import format_day, format_time, weekday_name, zone_name
from simpul_agreement.document.parties import called_in_text, signing_parties
from simpul_agreement.document.structure import Paragraph
from simpul_agreement.facts import TimeBand
from simpul_agreement.implications import IMPLICATIONS
from simpul_agreement.languages import join_all, translator, without_capital
from simpul_agreement.model import Agreement, Band, Party, ServiceNeeded
from simpul_agreement.phrases import describe_implication, describe_source, finds_provider, service_name
from simpul_city import City
from simpul_schema.vocabulary import Service


def duty_paragraphs(agreement: Agreement, city: City, language: str) -> list[Paragraph]:
    """One paragraph for each party: what it leads, where it is an alternate, and what it supports."""
    _ = translator(language)
    signing = signing_parties(agreement, city, language)
    found = []
    for party in agreement.parties:
        mandate = without_capital(party.mandate.in_language(language))
        text = _("The field of {party} is {mandate}; its area is {area}.").format(
            party=called_in_text(party, signing, language), area=party.area.in_language(language), mandate=mandate
        )
        items = _duties(party, agreement, language)
        if len(items) == 1:
            # One task is not a list.
            task = _("This party has one task: {task}.").format(task=items.pop())
        else:
            task = _("This party:") if items else ""
        found.append(Paragraph(f"{text} {task}".strip(), tuple(items)))
    return found


def _duties(party: Party, agreement: Agreement, language: str) -> list[str]:
    _ = translator(language)
    needs = [clause.effect for clause in agreement.clauses if isinstance(clause.effect, ServiceNeeded)]
    replaced = {need.service for need in needs if party.code in need.lead[1:]}
    duties = (
        (_("it leads the services {services}"), {need.service for need in needs if need.lead[0] == party.code}),
        (
            _("it is an alternate for the services {services}"),
            {s for s in replaced if not finds_provider(party.code, s, agreement)},
        ),
        (
            _("it finds another provider, where the lead cannot, for the services {services}"),
            {s for s in replaced if finds_provider(party.code, s, agreement)},
        ),
        (_("it supports the services {services}"), {need.service for need in needs if party.code in need.support}),
    )
    texts = [
        text.format(services=join_all([service_name(s, language) for s in Service if s in services], language))
        for text, services in duties
        if services
    ]
    return [f"{text}{'.' if text is texts[-1] else ';'}" for text in texts]


def implication_paragraphs(language: str) -> list[Paragraph]:
    """One paragraph for each kind of violence that other facts imply."""
    return [
        Paragraph(f"{describe_implication(implication, language)} [{describe_source(implication.source, language)}]")
        for implication in IMPLICATIONS
    ]


def hour_paragraphs(agreement: Agreement, city: City, language: str) -> list[Paragraph]:
    """The bands of the week, the holidays, the hours of each party, and how deadlines are counted."""
    _ = translator(language)
    bands = tuple(_band_items(agreement.bands, language))
    days = [format_day(day, language) for day in sorted(agreement.holidays)]
    holidays = _("These holidays count as days off: {days}.").format(days=join_all(days, language)) if days else ""
    if agreement.holidays_source:
        holidays = f"{holidays} [{describe_source(agreement.holidays_source, language)}]"
    parties = tuple(_party_hours(party, language) for party in agreement.parties if party.open_in | party.duty_in)
    counting = _(
        "Deadlines are counted in {zone} without interruption; working days are Monday to Friday "
        "without the holidays, and office hours are those stated above without the holidays."
    ).format(zone=zone_name(city.zone, language))
    paragraphs = [Paragraph(_("The hours of the week are:"), bands)]
    paragraphs += [Paragraph(holidays)] if holidays else []
    return [*paragraphs, Paragraph(_("The parties can be reached as follows:"), parties), Paragraph(counting)]


def _band_items(bands: Sequence[Band], language: str) -> list[str]:
    _ = translator(language)
    items = []
    for band in bands:
        first, last = (weekday_name(day, language) for day in (min(band.days), max(band.days)))
        days = first if first == last else _("{first} to {last}").format(first=first, last=last)
        end = format_time(band.end, language) if band.end.hour or band.end.minute else _("24:00")
        item = _("{band}: {days}, {start} to {end}")
        items.append(
            item.format(band=band.name.label(language), days=days, start=format_time(band.start, language), end=end)
        )
    return [f"{item}{'.' if item is items[-1] else ';'}" for item in items]


def _party_hours(party: Party, language: str) -> str:
    _ = translator(language)
    parts = []
    if party.open_in:
        parts.append(_("office open: {bands}").format(bands=_bands_of(party.open_in, language)))
    if party.duty_in:
        parts.append(_("on duty: {bands}").format(bands=_bands_of(party.duty_in, language)))
    return f"{party.name.in_language(language)}: {'; '.join(parts)}."


def _bands_of(bands: frozenset[TimeBand], language: str) -> str:
    return join_all([without_capital(band.label(language)) for band in TimeBand if band in bands], language)

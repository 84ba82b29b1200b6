"""Describes clauses as sentences, from the data that is executed, so that text and execution cannot differ."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from simpul_agreement.deadlines import Within
from simpul_agreement.fact_phrases import describe_condition, describe_fact
from simpul_agreement.facts import FACTS, NOTHING_KNOWN, VIOLENCE, AgencyKind, Situation
from simpul_agreement.implications import Implication
from simpul_agreement.languages import (
    Described,
    join_all,
    join_any,
    join_sentences,
    translator,
    with_capital,
    without_capital,
)
from simpul_agreement.model import (
    ADDRESSEE,
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    LEVEL_ABOVE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    Clause,
    ClockName,
    ClockRuns,
    Condition,
    Disclosure,
    EscalationLevel,
    Mediation,
    Phase,
    PlanDeadline,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Source,
    SuspectServedBy,
    Topic,
    UrgencyIs,
)
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import ActorRole, Right, Service

_SELECTORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SATGAS_OF_RESIDENCE: gettext_noop("the task force of the child's kelurahan"),
        KECAMATAN_OF_RESIDENCE: gettext_noop("the task force of the child's kecamatan"),
        COMPLAINT_CENTRE: gettext_noop("the complaint centre that took the report"),
        ADDRESSEE: gettext_noop("the addressed agency"),
        LEVEL_ABOVE: gettext_noop("the next escalation level of the addressed agency"),
    }
)
_UNITS: Final = (
    (1440, gettext_noop("1 day"), gettext_noop("{count} days")),
    (60, gettext_noop("1 hour"), gettext_noop("{count} hours")),
    (1, gettext_noop("1 minute"), gettext_noop("{count} minutes")),
)
_SINGLE_TOPICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "urgency": gettext_noop("the urgency"),
        "mediation": gettext_noop("whether mediation is forbidden"),
        "basis": gettext_noop("the basis of disclosure"),
        "suspect": gettext_noop("who accompanies the child who is the suspect"),
        "service_plan": gettext_noop("when the service plan is confirmed"),
    }
)
_CLOCKS_OF_PHASE: Final[Mapping[Phase, str]] = MappingProxyType(
    {
        Phase.IMMEDIATE: gettext_noop("{clock} of services that are offered at once"),
        Phase.PLANNED: gettext_noop("{clock} of services in the service plan"),
    }
)
_MINUTES_OF_A_DAY: Final = 1440
_CARRIED_OUT_BY: Final[Mapping[Service, AgencyKind]] = MappingProxyType(
    {
        Service.POLICE_REPORT: AgencyKind.POLICE,
        Service.FORENSIC_EXAM: AgencyKind.HOSPITAL,
        Service.MEDICAL_CARE: AgencyKind.HOSPITAL,
        Service.PEP_72H: AgencyKind.HOSPITAL,
    }
)
"""Services that only one kind of agency may carry out: a party of another kind finds one that may."""


def describe_conditions(conditions: Sequence[Condition], language: str) -> str:
    """Conditions that hold together, as part of a sentence; empty where there are none."""
    return join_sentences((describe_condition(condition, language) for condition in conditions), language)


def describe_implication(implication: Implication, language: str) -> str:
    """The kind of violence that facts imply, as a sentence."""
    _ = translator(language)
    return _("If {conditions}, then {kind}, whatever is reported.").format(
        conditions=describe_conditions(implication.when, language),
        kind=describe_fact(VIOLENCE.name, frozenset({implication.kind.value}), language),
    )


def describe_party(agreement: Agreement, selector: str, language: str) -> str:
    """The name of a party, or the description of a selector."""
    if selector in _SELECTORS:
        return translator(language)(_SELECTORS[selector])
    party = agreement.party_of.get(selector)
    # A misspelled party has a finding of its own; here it is shown as written.
    return party.name.in_language(language) if party else selector


def describe_duration(within: Within, language: str) -> str:
    """A length of time."""
    _ = translator(language)
    if within.office_hours:
        hours = within.office_hours
        return _("1 office hour") if hours == 1 else _("{count} office hours").format(count=hours)
    if within.working_days:
        days = within.working_days
        return _("1 working day") if days == 1 else _("{count} working days").format(count=days)
    minutes = int(within.time.total_seconds()) // 60
    if minutes % _MINUTES_OF_A_DAY == 0 and minutes <= 3 * _MINUTES_OF_A_DAY:
        # Indonesian law states short periods as n x 24 hours, which excludes working days.
        return _("{count} x 24 hours").format(count=minutes // _MINUTES_OF_A_DAY)
    size, one, several = next(unit for unit in _UNITS if minutes % unit[0] == 0 and minutes >= unit[0])
    count = minutes // size
    return _(one) if count == 1 else _(several).format(count=count)


def describe_roles(roles: frozenset[ActorRole], language: str) -> str:
    """The roles that may open a mediation, as part of a sentence."""
    return join_any([without_capital(role.label(language)) for role in ActorRole if role in roles], language)


def describe_effect(clause: Clause, agreement: Agreement, language: str) -> str:  # noqa: C901, PLR0911, PLR0912 - each
    """The effect of a clause, as part of a sentence."""
    _ = translator(language)
    match clause.effect:
        case ServiceNeeded() as need:
            return _describe_service(need, agreement, language)
        case RightNotNeeded(right=right, reason=reason, reassess=reassess):
            text = _("case management is enough for the right to {right} at present, because {reason}")
            if reassess:
                text = _("the assessment decides on the services for the right to {right}, because {reason}")
            return text.format(right=without_capital(right.label(language)), reason=reason.in_language(language))
        case UrgencyIs(urgency=urgency):
            return _("the urgency is {values}").format(values=urgency.label(language).lower())
        case ClockRuns() as clock:
            return _describe_clock(clock, language)
        case Mediation(is_locked=True):
            return _("mediation is forbidden")
        case Mediation(opened_by=roles):
            return _("mediation may be opened only by {roles}").format(roles=describe_roles(roles, language))
        case BasisIs(basis=basis):
            return _("identity is disclosed on the basis of {basis}").format(
                basis=without_capital(basis.label(language))
            )
        case Disclosure() as disclosed:
            return _describe_disclosure(disclosed, language)
        case EscalationLevel() as level:
            return _describe_escalation(level, agreement, language)
        case Retention(section=section, years=years):
            return _("{section} is kept for {years} years after the case ended").format(
                section=without_capital(section.label(language)), years=years
            )
        case PlanDeadline(within=within, is_sent_at_deadline=is_sent):
            text = _("the case manager confirms the service plan within {duration}")
            if is_sent:
                text = _("the case manager confirms the service plan within {duration}; otherwise it is sent as it is")
            return text.format(duration=describe_duration(within, language))
        case SuspectServedBy(lead=lead):
            return _("the child who is the suspect is accompanied by {parties}").format(
                parties=join_any(_parties(lead, agreement, language), language)
            )


def _parties(selectors: Sequence[str], agreement: Agreement, language: str) -> list[str]:
    return [describe_party(agreement, selector, language) for selector in selectors]


def _describe_service(need: ServiceNeeded, agreement: Agreement, language: str) -> str:
    _ = translator(language)
    first, *others = need.lead
    lead = describe_party(agreement, first, language)
    text = _("{service} is led by {lead}").format(service=service_name(need.service, language), lead=lead)
    if need.support:
        supporting = join_all(_parties(need.support, agreement, language), language)
        text = _("{text}, supported by {parties}").format(text=text, parties=supporting)
    if need.phase is Phase.PLANNED:
        text = _("{text}, by the service plan").format(text=text)
    if need.max_urgency:
        urgency = need.max_urgency.label(language).lower()
        text = _("{text}, with an urgency no higher than {urgency}").format(text=text, urgency=urgency)
    # The alternates come last: one of them may be a supporting party, which never supports or replaces itself.
    if others:
        is_found = finds_provider(others[0], need.service, agreement)
        message = (
            _("{text}; where the lead cannot, another provider is found by {parties}")
            if is_found
            else _("{text}; where the lead cannot, the service is led by {parties}")
        )
        text = message.format(text=text, parties=join_any(_parties(others, agreement, language), language))
    return text


def finds_provider(selector: str, service: Service, agreement: Agreement) -> bool:
    """Whether a party cannot carry out a service itself and as an alternate finds an agency that can."""
    party = agreement.party_of.get(selector)
    return service in _CARRIED_OUT_BY and (party is None or party.kind is not _CARRIED_OUT_BY[service])


def _describe_clock(effect: ClockRuns, language: str) -> str:
    _ = translator(language)
    clock, within = without_capital(clock_name(effect, language)), describe_duration(effect.within, language)
    since = effect.since.in_language(language) if effect.since else _("after the referral was sent")
    return _("{clock} is due within {duration} {since}").format(clock=clock, duration=within, since=since)


def clock_name(effect: ClockRuns, language: str) -> str:
    """The obligation of a deadline, with its service or phase where it is for one only."""
    _ = translator(language)
    text = effect.clock.label(language)
    if effect.service:
        text = _("{clock} for {service}").format(clock=text, service=service_name(effect.service, language))
    if effect.phase:
        text = _(_CLOCKS_OF_PHASE[effect.phase]).format(clock=text)
    return text


def service_name(service: Service, language: str) -> str:
    """The name of a service inside a sentence."""
    return without_capital(service.label(language))


def _describe_disclosure(disclosed: Disclosure, language: str) -> str:
    _ = translator(language)
    service = service_name(disclosed.service, language)
    if not disclosed.sections:
        return _("{service} discloses nothing").format(service=service)
    text = _("{service} discloses {sections}")
    text = text.format(service=service, sections=_name_sections(disclosed.sections, language))
    if disclosed.own_basis is None:
        return text
    return _("{text}; also without a consent, on the basis of {basis}, {sections}").format(
        text=text,
        sections=_name_sections(disclosed.without_consent, language),
        basis=without_capital(disclosed.own_basis.label(language)),
    )


def _name_sections(sections: frozenset[Section], language: str) -> str:
    shown = [without_capital(section.label(language)) for section in Section if section in sections]
    return join_all(shown, language)


def _describe_escalation(level: EscalationLevel, agreement: Agreement, language: str) -> str:
    _ = translator(language)
    first, *others = _parties(level.to, agreement, language)
    text = _("at {step} % of the deadline {party} is informed").format(step=level.step.value, party=first)
    # Whoever is informed in any case stands in for nobody.
    others = [party for party in others if party not in _parties(level.also, agreement, language)]
    if others:
        text = _("{text}, or, where it cannot be, {parties}").format(text=text, parties=join_any(others, language))
    if level.also:
        informed = join_all(_parties(level.also, agreement, language), language)
        text = _("{text}, and in any case {parties}").format(text=text, parties=informed)
    return text


def clause_sentence(clause: Clause, agreement: Agreement, language: str, exceptions: str = "") -> str:
    """A clause as one sentence; `exceptions` names the clauses that take precedence."""
    _ = translator(language)
    text = describe_effect(clause, agreement, language)
    if clause.when:
        text = _("if {conditions}, then {effect}").format(
            conditions=describe_conditions(clause.when, language), effect=text
        )
    if exceptions:
        text = _("{text}, except under {exceptions}").format(text=text, exceptions=exceptions)
    return f"{with_capital(text)}."


def quote_clause(clause: Clause, agreement: Agreement) -> Described:
    """The id and sentence of a clause, for a finding."""
    return Described(lambda language: f"{clause.id}: {clause_sentence(clause, agreement, language)}")


def describe_source(source: Source, language: str) -> str:
    """The source of a rule and how reliable it is."""
    _ = translator(language)
    text = _("{title}, art. {article}").format(title=source.title, article=source.article)
    parts = [text if source.article else source.title]
    if source.read:
        parts.append(_("read {day}").format(day=f"{source.read:%d-%m-%Y}"))
    return f"{', '.join(parts)} ({source.status.label(language)})"


def describe_topic(topic: Topic, language: str) -> str:  # noqa: PLR0911 - each kind of topic
    """The question that clauses of a topic answer, as part of a sentence."""
    _ = translator(language)
    kind, subject = topic
    match kind:
        case "service":
            return _("who leads the service {service}").format(service=service_name(Service(subject), language))
        case "not_needed":
            right = without_capital(Right(subject).label(language))
            return _("whether the right to {right} needs a service").format(right=right)
        case "clock":
            clock, _slash, service = subject.partition("/")
            effect = ClockRuns(ClockName(clock), Within(), Service(service) if service else None)
            return _("the deadline of: {clock}").format(clock=without_capital(clock_name(effect, language)))
        case "disclosure":
            return _("what the service {service} discloses").format(service=service_name(Service(subject), language))
        case "escalation":
            return _("who is informed at {step} % of the deadline").format(step=subject)
        case "retention":
            section = without_capital(Section(subject).label(language))
            return _("how long {section} is kept").format(section=section)
        case _other:
            return _(_SINGLE_TOPICS[kind])


def example_report(situation: Situation) -> str:
    """A situation as the YAML of an example report; facts with their default are omitted."""
    lines = []
    for fact in FACTS:
        values = situation[fact.name]
        if fact is VIOLENCE:
            lines.append(f"{fact.name}: {'+'.join(value for value in fact.values if value in values)}")
        elif values != NOTHING_KNOWN[fact.name]:
            lines.append(f"{fact.name}: {next(iter(values))}")
    return "\n".join(lines)

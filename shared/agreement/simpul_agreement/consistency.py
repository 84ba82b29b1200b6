"""Finds mistakes that need no situation: names, references, bands, cycles."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from simpul_agreement.document.dates import weekday_name
from simpul_agreement.facts import URGENCY, AgencyKind
from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.languages import Described, Message
from simpul_agreement.languages import Message as _
from simpul_agreement.model import (
    ESCALATION_SELECTORS,
    SELECTORS,
    Agreement,
    Band,
    Clause,
    ClockRuns,
    EscalationLevel,
    Party,
    Phase,
    PlanDeadline,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
)
from simpul_agreement.phrases import quote_clause
from simpul_city import City

_MINUTES_OF_A_WEEK = 7 * 1440
_GROUPS: Mapping[AgencyKind, str] = {
    AgencyKind.SATGAS_KELURAHAN: "satgas_of_residence",
    AgencyKind.SATGAS_KECAMATAN: "kecamatan_of_residence",
}
"""Kinds of which there is one in each kelurahan or kecamatan, with the code that stands for all of them."""


def inconsistencies(agreement: Agreement, city: City) -> list[Finding]:
    """Every such mistake, grouped by check."""
    checks = (
        _names,
        _overrides,
        _urgency,
        _bands,
        _rights,
        _terms,
        _dates,
        _validity,
        lambda a: _parties(a, city),
        _addressees,
    )
    return [finding for check in checks for finding in check(agreement)]


def _names(agreement: Agreement) -> Iterator[Finding]:
    counts = Counter(clause.id for clause in agreement.clauses)
    for clause in agreement.clauses:
        if counts[clause.id] > 1:
            yield Finding(
                clause.where,
                _("{clause} is the id of {count} clauses", clause=clause.id, count=counts[clause.id]),
                _("give each its own id"),
            )
    for code, count in Counter(party.code for party in agreement.parties).items():
        if count > 1:
            yield Finding(
                agreement.party_of[code].where,
                _("{code} is listed {count} times among the parties", code=code, count=count),
                _("keep one"),
            )
    for chapter, count in Counter(chapter.id for chapter in agreement.chapters).items():
        if count > 1:
            where = next(clause.where for clause in agreement.clauses if clause.chapter == chapter)
            yield Finding(
                where,
                _("{chapter} is the id of {count} chapters", chapter=chapter, count=count),
                _("give each its own id"),
            )


def _overrides(agreement: Agreement) -> Iterator[Finding]:
    done: set[str] = set()
    for clause in agreement.clauses:
        cycle = _cycle_from(clause.id, agreement.by_id, done)
        if cycle:
            yield Finding(
                clause.where,
                _("these clauses override one another in a circle: {cycle}", cycle=" > ".join(cycle)),
                _("decide which one takes precedence and delete the other override"),
                tuple(quote_clause(agreement.by_id[name], agreement) for name in cycle[:-1]),
            )
        for other in sorted(clause.overrides):
            if not _same_question(clause, agreement.by_id[other]):
                yield Finding(
                    clause.where,
                    _("{clause} overrides {other}, which decides something else", clause=clause.id, other=other),
                    _("a clause overrides only clauses on the same question"),
                )


def _same_question(one: Clause, other: Clause) -> bool:
    """Whether one may override the other: both answer the same question or concern the same right."""
    rights = {getattr(clause.effect, "right", None) for clause in (one, other)}
    return one.topic == other.topic or (len(rights) == 1 and None not in rights)


def _urgency(agreement: Agreement) -> Iterator[Finding]:
    for clause in agreement.clauses:
        if isinstance(clause.effect, UrgencyIs) and any(c.fact == URGENCY.name for c in clause.when):
            yield Finding(
                clause.where,
                _("{clause} derives the urgency from the urgency", clause=clause.id),
                _("use facts in its conditions"),
            )


def _validity(agreement: Agreement) -> Iterator[Finding]:
    """A clause must not address a party on a day on which the party is not valid."""
    for clause in agreement.clauses:
        first = clause.valid_from or agreement.active_from.date()
        for code in _addressed_by(clause):
            party = agreement.party_of.get(code)
            if party is None:
                continue
            begins_late = party.valid_from is not None and party.valid_from > first
            last = party.valid_until
            ends_early = last is not None and (clause.valid_until is None or clause.valid_until > last)
            if begins_late or ends_early:
                from_then = _("from {day}", day=party.valid_from)
                span = from_then if begins_late else _("until {day}", day=last)
                yield Finding(
                    clause.where,
                    _("{clause} addresses {code}, which is valid only {span}", clause=clause.id, code=code, span=span),
                    _("give the clause the same dates, and write another for the other days"),
                )


def _cycle_from(start: str, clauses: Mapping[str, Clause], done: set[str]) -> list[str]:
    """The first circle reached by following overrides from here; empty when there is none."""
    path: list[str] = []
    stack: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(clauses[start].overrides)))]
    path.append(start)
    while stack:
        name, remaining = stack[-1]
        other = next(remaining, None)
        if other is None:
            done.add(name)
            stack.pop()
            path.pop()
        elif other in path:
            return [*path[path.index(other) :], other]
        elif other not in done:
            path.append(other)
            stack.append((other, iter(sorted(clauses[other].overrides))))
    return []


def _bands(agreement: Agreement) -> Iterator[Finding]:
    minutes = [(band, band.minutes()) for band in agreement.bands]
    for (band, covered), (other, others) in combinations(minutes, 2):
        shared = covered & others
        if shared and band.name != other.name:
            yield Finding(
                other.where,
                _(
                    "the bands {band} and {other} overlap {moment}",
                    band=band.name,
                    other=other.name,
                    moment=_moment(min(shared)),
                ),
                _("let {other} begin where {band} ends", other=other.name, band=band.name),
            )
    missing = set(range(_MINUTES_OF_A_WEEK)) - {minute for _, covered in minutes for minute in covered}
    if missing:
        yield Finding(
            _last(agreement.bands).where,
            _("no band covers the time {moment}", moment=_moment(min(missing))),
            _("add a band that does"),
        )


def _last(bands: Iterable[Band]) -> Band:
    return list(bands)[-1]


def _moment(minute: int) -> Message:
    day, time = minute // 1440, f"{minute % 1440 // 60:02}:{minute % 60:02}"
    return _("on {weekday} at {time}", weekday=Described(lambda language: weekday_name(day, language)), time=time)


def _rights(agreement: Agreement) -> Iterator[Finding]:
    for clause in agreement.clauses:
        match clause.effect:
            case ServiceNeeded(service=service, right=right) if agreement.right_of[service] is not right:
                other = agreement.right_of[service]
                yield Finding(
                    clause.where,
                    _(
                        "{clause}: {service} serves {right} here and {other} in another clause",
                        clause=clause.id,
                        service=service,
                        right=right,
                        other=other,
                    ),
                    _("a service serves exactly one right"),
                )
            case _:
                continue


def _terms(agreement: Agreement) -> Iterator[Finding]:
    """Office hours that the agreement does not have, and a service plan in which no service is planned."""
    has_office_hours = any(agreement.calendar.office)
    is_planned = any(
        isinstance(clause.effect, ServiceNeeded) and clause.effect.phase is Phase.PLANNED
        for clause in agreement.clauses
    )
    for clause in agreement.clauses:
        match clause.effect:
            case ClockRuns(within=within) | PlanDeadline(within=within) if within.office_hours and not has_office_hours:
                yield Finding(
                    clause.where,
                    _("{clause} counts office hours, and no band is `office_hours`", clause=clause.id),
                    _("add the band, or give hours or working days"),
                )
            case PlanDeadline() if not is_planned:
                yield Finding(
                    clause.where,
                    _("{clause} sets the time for a service plan, and no service is planned", clause=clause.id),
                    _("give a service `phase: planned`, or delete the clause"),
                )
            case _:
                continue


def _dates(agreement: Agreement) -> Iterator[Finding]:
    everything: tuple[Clause | Party, ...] = (*agreement.clauses, *agreement.parties)
    for dated in everything:
        if dated.valid_from and dated.valid_until and dated.valid_from >= dated.valid_until:
            name = dated.id if isinstance(dated, Clause) else dated.code
            yield Finding(
                dated.where,
                _("{name} ends before it begins", name=name),
                _("valid_until must be later than valid_from"),
            )


def _parties(agreement: Agreement, city: City) -> Iterator[Finding]:
    codes = {party.code for party in agreement.parties}
    for party in agreement.parties:
        expected = _GROUPS.get(party.kind) if party.kind else None
        if party.kind and expected and party.code != expected:
            yield Finding(
                party.where,
                _("{code} is of the kind {kind}", code=party.code, kind=party.kind),
                _("write {expected}, which stands for all of them", expected=expected),
            )
        elif party.kind and not expected and party.code not in city.agency_codes:
            yield Finding(
                party.where,
                _("{city} has no agency {code}", city=city.name, code=party.code),
                suggest_nearest(party.code, city.agency_codes),
            )
        independent = {other.code for other in agreement.parties if not other.part_of}
        if party.part_of and party.part_of not in independent:
            problem = _(
                "{code} is part of {part_of}, which is not an independent party", code=party.code, part_of=party.part_of
            )
            yield Finding(party.where, problem, suggest_nearest(party.part_of, independent))
        if party.above and party.above not in codes:
            yield Finding(
                party.where,
                _("{code} escalates to {above}, which is not a party", code=party.code, above=party.above),
                suggest_nearest(party.above, codes),
            )
        elif party.code in _levels_above(agreement, party.code):
            yield Finding(
                party.where,
                _("the escalation levels above {code} lead back to it", code=party.code),
                _("leave `above` empty at the top level"),
            )
    for kind in AgencyKind:
        count = sum(party.kind is kind for party in agreement.parties)
        if count != 1:
            where = agreement.parties[-1].where
            yield Finding(
                where,
                _("{count} parties are of the kind {kind}", count=count, kind=kind),
                _("every kind needs exactly one party"),
            )
    if agreement.hub not in codes:
        yield Finding(
            agreement.parties[0].where,
            _("the hub {hub} is not a party", hub=agreement.hub),
            suggest_nearest(agreement.hub, codes),
        )


def _levels_above(agreement: Agreement, code: str) -> list[str]:
    levels: list[str] = []
    party = agreement.party_of.get(code)
    while party and party.above and party.above not in levels:
        levels.append(party.above)
        party = agreement.party_of.get(party.above)
    return levels


def _addressees(agreement: Agreement) -> Iterator[Finding]:
    named: set[str] = set()
    codes = {party.code for party in agreement.parties} | set(SELECTORS)
    for clause in agreement.clauses:
        addressed = _addressed_by(clause)
        named |= set(addressed)
        allowed = codes | set(ESCALATION_SELECTORS) if isinstance(clause.effect, EscalationLevel) else codes
        for selector in addressed:
            outside = isinstance(clause.effect, ServiceNeeded) and selector in _outside(agreement)
            if outside:
                yield Finding(
                    clause.where,
                    _("{clause}: {selector} takes no referrals", clause=clause.id, selector=selector),
                    _("choose a party that has a kind"),
                )
            if selector not in allowed:
                yield Finding(
                    clause.where,
                    _("{clause}: {selector} is not a party", clause=clause.id, selector=selector),
                    suggest_nearest(selector, allowed),
                )
                continue
            party = agreement.party_of.get(selector)
            match clause.effect:
                case ServiceNeeded(service=service, lead=lead) if (
                    selector in lead and party and service not in party.services
                ):
                    able = [other.code for other in agreement.parties if service in other.services]
                    yield Finding(
                        clause.where,
                        _(
                            "{clause}: {selector} leads {service}, which is not in its mandate",
                            clause=clause.id,
                            selector=selector,
                            service=service,
                        ),
                        _(
                            "add the service to the party, or choose a lead that has it: {parties}",
                            parties=", ".join(able) or "-",
                        ),
                    )
                case _:
                    continue
    for party in agreement.parties:
        if party.kind and party.code not in named:
            yield Finding(
                party.where, _("no clause addresses {code}", code=party.code), _("let it lead or support a service")
            )


def _outside(agreement: Agreement) -> set[str]:
    return {party.code for party in agreement.parties if party.kind is None}


def _addressed_by(clause: Clause) -> tuple[str, ...]:
    match clause.effect:
        case ServiceNeeded(lead=lead, support=support):
            return (*lead, *support)
        case EscalationLevel(to=to, also=also):
            return (*to, *also)
        case SuspectServedBy(lead=lead):
            return lead
        case _:
            return ()

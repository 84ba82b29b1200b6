"""The rules of referral: facts in, plan out. No I/O, no clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from simpul_routing.errors import ReplyRefusal
from simpul_schema.vocabulary import Answer, ReferralRole, Right, Service, Urgency, Violence

Facts = Mapping[str, frozenset[str]]
"""Fact -> its values; all but `violence` have exactly one."""
Condition = tuple[Mapping[str, frozenset[str]], ...]
"""Alternatives, each a set of facts that must all hold; empty means always."""

SATGAS = "$satgas"
CENTRE = "$centre"
KNOWN, NOT_KNOWN = "known", "unknown"


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """When a service is needed, who leads it and who supports it."""

    service: Service
    right: Right
    lead: str
    support: tuple[str, ...]
    when: Condition
    source: str


@dataclass(frozen=True, slots=True)
class UrgencyRule:
    """The urgency of a case for which the condition holds."""

    urgency: Urgency
    when: Condition
    source: str


@dataclass(frozen=True, slots=True)
class AnswerTime:
    """How long an agency has: calendar time, or working days in the city's zone."""

    within: timedelta
    working_days: int
    source: str

    def due(self, now: datetime, zone: ZoneInfo) -> datetime:
        """The moment an answer is due."""
        moment = now.astimezone(zone)
        for _ in range(self.working_days):
            moment += timedelta(days=1)
            while moment.weekday() >= 5:
                moment += timedelta(days=1)
        return (moment + self.within).astimezone(now.tzinfo)


@dataclass(frozen=True, slots=True)
class Rules:
    """The city's rules, as loaded."""

    hub: str
    services: tuple[ServiceRule, ...]
    urgency: tuple[UrgencyRule, ...]
    answer_times: Mapping[Urgency, AnswerTime]
    mediation_locked: Condition


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the child lives and where the report was taken, as agency codes; empty when not known."""

    satgas: str
    centre: str


@dataclass(frozen=True, slots=True)
class PlannedReferral:
    """One service asked of one agency."""

    service: Service
    agency: str
    role: ReferralRole


@dataclass(frozen=True, slots=True)
class CasePlan:
    """What follows from the facts of a case."""

    urgency: Urgency
    answer_by: datetime
    mediation_locked: bool
    referrals: tuple[PlannedReferral, ...]


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether any alternative holds; without alternatives it always does."""
    return not condition or any(
        all(not values.isdisjoint(facts[fact]) for fact, values in alternative.items()) for alternative in condition
    )


def plan_case(facts: Facts, origin: Origin, rules: Rules, now: datetime, zone: ZoneInfo) -> CasePlan:
    """The referrals of a case; every needed service has exactly one lead, and nothing needed is left out."""
    urgency = next(rule.urgency for rule in rules.urgency if holds(rule.when, facts))
    referrals: list[PlannedReferral] = []
    for rule in rules.services:
        if holds(rule.when, facts):
            referrals += _assign(rule, origin, rules.hub)
    if _needs_a_human(facts):
        referrals.append(PlannedReferral(Service.MANUAL_TRIAGE, rules.hub, ReferralRole.LEAD))
    return CasePlan(
        urgency=urgency,
        answer_by=rules.answer_times[urgency].due(now, zone),
        mediation_locked=bool(rules.mediation_locked) and holds(rules.mediation_locked, facts),
        referrals=tuple(referrals),
    )


def _assign(rule: ServiceRule, origin: Origin, hub: str) -> Iterable[PlannedReferral]:
    lead = _agency(rule.lead, origin) or hub
    yield PlannedReferral(rule.service, lead, ReferralRole.LEAD)
    supporting = dict.fromkeys(_agency(support, origin) for support in rule.support)
    for agency in supporting:
        if agency and agency != lead:
            yield PlannedReferral(rule.service, agency, ReferralRole.SUPPORT)


def _agency(selector: str, origin: Origin) -> str:
    return {SATGAS: origin.satgas, CENTRE: origin.centre}.get(selector, selector)


def _needs_a_human(facts: Facts) -> bool:
    """R9: what the rules cannot place goes to the hub for manual triage."""
    return Violence.UNKNOWN.value in facts["violence"] or facts["kelurahan"] == {NOT_KNOWN}


def facts_of(values: Mapping[str, str | Sequence[str]], *, kelurahan_is_known: bool) -> Facts:
    """Triage facts as the rules see them; a trafficking sign counts as trafficking."""
    facts = {name: frozenset([value] if isinstance(value, str) else value) for name, value in values.items()}
    if facts["trafficking_sign"] == {Answer.YES.value}:
        facts["violence"] |= {Violence.TRAFFICKING.value}
    facts["kelurahan"] = frozenset({KNOWN if kelurahan_is_known else NOT_KNOWN})
    return facts


class ReferralState(StrEnum):
    """Where a referral stands; later states of domain.md follow with its lifecycle."""

    OFFERED = "offered"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a referral when a reply about it arrives."""

    agency: str
    state: ReferralState


def judge_reply(standing: Standing | None, agency: str, wanted: ReferralState) -> ReferralState | ReplyRefusal:
    """The state after a reply; an earlier or repeated one changes nothing, a foreign one is refused."""
    if standing is None:
        return ReplyRefusal.UNKNOWN_REFERRAL
    if standing.agency != agency:
        return ReplyRefusal.NOT_ITS_REFERRAL
    order = list(ReferralState)
    return max(standing.state, wanted, key=order.index)

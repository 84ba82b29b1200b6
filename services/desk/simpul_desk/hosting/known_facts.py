"""The facts of the agreement that a referral shows its agency, and the clauses that apply by them."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from simpul_agreement.engine import Engines
from simpul_agreement.event_times import EventTime
from simpul_agreement.facts import BY_NAME, SINCE_EVENT, URGENCY, VIOLENCE, TimeSinceEvent
from simpul_agreement.model import Clause, Mediation
from simpul_agreement.reports import read_72_hours
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import Urgency

KnownFacts = Mapping[str, frozenset[str]]
"""Fact -> the values that hold, without the facts that the referral does not show."""


def read_known_facts(
    facts: ReferralFacts | None, urgency: Urgency, reported_at: datetime, zone: ZoneInfo
) -> KnownFacts:
    """Reads what a referral shows; `reported_at` is when its agency was first asked, within minutes of the report."""
    known = {URGENCY.name: frozenset({urgency.value})}
    if facts is None:
        return known
    for name in BY_NAME.keys() & ReferralFacts.model_fields.keys():
        given = getattr(facts, name)
        known[name] = frozenset(map(str, given)) if isinstance(given, tuple) else frozenset({str(given)})
    event = EventTime.parse(facts.happened_at, zone)
    known[VIOLENCE.name], since = read_72_hours(
        facts.sexual_under_72h, known[VIOLENCE.name], event.before(reported_at) if event else TimeSinceEvent.UNKNOWN
    )
    return known | {SINCE_EVENT.name: frozenset({since.value})}


def applies(clause: Clause, known: KnownFacts) -> bool:
    """Whether the conditions of a clause hold; one about a fact that the agency does not know does not."""
    return all(one.fact in known and one.admits(known[one.fact]) for one in clause.when)


def find_mediation_locks(engines: Engines, known: KnownFacts, reported_at: datetime) -> list[Clause]:
    """Finds the clauses that lock mediation by these facts; none where it is locked for a reason that is not shown."""
    return [
        clause
        for clause in engines.agreement.clauses
        if isinstance(clause.effect, Mediation) and clause.effect.is_locked
        if clause.is_valid_on(reported_at.date()) and applies(clause, known)
    ]

"""The deadlines of a service as its agency can compute them: by the agreement, from what the referral says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from simpul_agency.referral_view import ServiceView
from simpul_agreement.engine import Engines
from simpul_agreement.event_times import EventTime, end_treatment_window
from simpul_agreement.facts import SINCE_EVENT, TimeSinceEvent
from simpul_agreement.model import Clause, ClockName, ClockRuns
from simpul_desk.hosting.known_facts import KnownFacts, applies, read_known_facts
from simpul_desk.hosting.steps import ServiceStep, step_of
from simpul_schema.messages.referral import ReferralFacts, RequestedService
from simpul_schema.vocabulary import ReferralRole, Service

_STOPPED_BY_ANSWER: Final = frozenset({ClockName.ANSWER, ClockName.POLICE_REPORT})
_FROM_REFERRAL: Final = frozenset({ClockName.CONTACT, ClockName.SERVICE, ClockName.TEMPORARY_PROTECTION})
_SHOWN: Final = (
    ClockName.ANSWER,
    ClockName.CONTACT,
    ClockName.SERVICE,
    ClockName.HEALTH_WINDOW,
    ClockName.POLICE_REPORT,
    ClockName.TEMPORARY_PROTECTION,
)
_WITHIN_72H: Final = frozenset({TimeSinceEvent.UNDER_24H.value, TimeSinceEvent.FROM_24H_TO_72H.value})


@dataclass(frozen=True, slots=True)
class Deadline:
    """One obligation, until when, and the clause that says so."""

    clock: ClockName
    due_at: datetime | None
    """None where the clause counts from a moment that the referral does not name."""
    clause: Clause
    is_met: bool


def list_deadlines(
    engines: Engines, service: ServiceView, facts: ReferralFacts | None, zone: ZoneInfo, reported_at: datetime
) -> list[Deadline]:
    """Lists the deadlines of a service, the earliest first; the answer is due when the city says.

    The time for treatment and evidence begins with the event, and has a time where the facts name its hour or day. A
    rerouted service keeps its clocks, so besides it only the answer has a time here. `reported_at` is when the agency
    was first asked about the case.
    """
    requested, step = service.requested, step_of(service)
    known = read_known_facts(facts, requested.urgency, reported_at, zone)
    began, is_first = _find_event(facts, known, zone), requested.rerouted_from is None
    found: dict[ClockName, Deadline] = {}
    for clause, effect in _clauses_of(engines, service, known):
        is_met = step is not ServiceStep.WAITING if effect.clock in _STOPPED_BY_ANSWER else step.has_started
        due: datetime | None = None
        if effect.clock is ClockName.ANSWER:
            due = requested.answer_by
        elif is_first and effect.clock in _FROM_REFERRAL:
            due = effect.within.due(service.requested_at, zone, engines.agreement.calendar)
        elif effect.clock is ClockName.HEALTH_WINDOW and began and (is_first or _applied_earlier(clause, known)):
            # A rerouted service was reported before it was offered here; how long before is not known.
            reported = reported_at if is_first else began
            due = end_treatment_window(effect.within, began, reported, zone, engines.agreement.calendar)
        found.setdefault(effect.clock, Deadline(effect.clock, due, clause, is_met))
    # Every service has an answer deadline, even one of a clause that this version does not show.
    return sorted(found.values(), key=lambda one: (one.due_at is None, one.due_at, _SHOWN.index(one.clock)))


def find_answer(deadlines: Iterable[Deadline]) -> Deadline | None:
    """Finds the deadline for the answer about a referral among those of its services: the earliest that is not met."""
    waiting = {one.due_at: one for one in deadlines if one.clock is ClockName.ANSWER and one.due_at and not one.is_met}
    return waiting[min(waiting)] if waiting else None


def find_next_due(deadlines: list[Deadline]) -> datetime | None:
    """Finds the next deadline that is not met."""
    return min((one.due_at for one in deadlines if one.due_at and not one.is_met), default=None)


def _find_event(facts: ReferralFacts | None, known: KnownFacts, zone: ZoneInfo) -> datetime | None:
    """Finds the earliest moment of an event within the 72 hours before the report; None where it is not known."""
    event = EventTime.parse(facts.happened_at, zone) if facts and known[SINCE_EVENT.name] <= _WITHIN_72H else None
    return event.earliest if event else None


def _applied_earlier(clause: Clause, known: KnownFacts) -> bool:
    """Whether a clause that applies now applied also if the report came sooner after the event."""
    return applies(clause, {**known, SINCE_EVENT.name: frozenset({TimeSinceEvent.UNDER_24H.value})})


def _clauses_of(engines: Engines, service: ServiceView, known: KnownFacts) -> Iterator[tuple[Clause, ClockRuns]]:
    """Yields the clauses with a clock of this service; the one for this service alone first."""
    requested, agreement = service.requested, engines.agreement
    phase, _ = engines.on(service.requested_at.date()).usual_terms(requested.service)
    found = []
    for clause in agreement.clauses:
        match clause.effect:
            case ClockRuns(service=only) as effect if effect.clock in _SHOWN and only in (None, requested.service):
                if _concerns(effect, requested) and effect.concerns(phase) and applies(clause, known):
                    found.append((clause, effect))
            case _:
                continue
    yield from sorted(found, key=lambda one: one[1].service is None)


def _concerns(effect: ClockRuns, requested: RequestedService) -> bool:
    """Whether the agency has a clock: whoever answers has those of the answer, and only a lead the others."""
    if effect.clock is ClockName.POLICE_REPORT:
        return requested.service is Service.POLICE_REPORT
    return requested.role is ReferralRole.LEAD or effect.clock is ClockName.ANSWER

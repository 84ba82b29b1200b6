"""Absences and shifts that an agency's lead enters at the desk, merged over the roster of the city's folder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_notify.domain.duty import DutyPlan, Period, RosterPlan, Shift

MAX_LENGTH: Final = timedelta(days=366)
"""The longest absence or shift; a longer one is a change of the roster's people."""
MAX_CHANGES: Final = 400
"""How many absences and shifts of one party may lie in the future."""


class ChangeKind(StrEnum):
    """What an entry changes."""

    ABSENCE = "absence"
    """The responder is away; nobody is alerted then."""
    SHIFT = "shift"
    """The responder is on duty before everybody else, such as after a swap."""


class ChangeProblem(StrEnum):
    """Why an entry is refused."""

    PERIOD_REVERSED = "period_reversed"
    TOO_LONG = "too_long"
    OVER = "over"
    UNKNOWN_RESPONDER = "unknown_responder"
    IS_LEAD = "is_lead"
    UNREACHABLE = "unreachable"
    """No number or address of the responder is verified."""
    AWAY = "away"
    """The responder of a shift is absent then."""
    LEAVES_GAP = "leaves_gap"
    """Nobody who can be reached would be on duty."""
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class RosterChange:
    """An absence or a shift of one responder."""

    change_id: UUID
    party: str
    kind: ChangeKind
    shift: Shift


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """An entry that is refused, and why."""

    position: int
    """Its position among those that were entered together."""
    problem: ChangeProblem
    gap: Period | None = None
    """When nobody would be on duty."""


def merge_changes(plan: RosterPlan, changes: Iterable[RosterChange]) -> RosterPlan:
    """Returns the plan with the changes of all parties; those of people who left the roster have no effect."""
    listed = tuple(changes)
    return replace(
        plan,
        duties={
            party: merge_duty(duty, [change for change in listed if change.party == party])
            for party, duty in plan.duties.items()
        },
    )


def merge_duty(duty: DutyPlan, changes: Sequence[RosterChange]) -> DutyPlan:
    """Returns the plan of one party with its changes; the shift that was entered last comes first."""
    people = {person.reference for person in duty.people}
    known = [change for change in changes if change.shift.responder in people]
    return replace(
        duty,
        overrides=(*(one.shift for one in reversed(known) if one.kind is ChangeKind.SHIFT), *duty.overrides),
        absences=(*duty.absences, *(one.shift for one in known if one.kind is ChangeKind.ABSENCE)),
    )


def judge_changes(
    duty: DutyPlan, present: Sequence[RosterChange], added: Sequence[RosterChange], now: datetime, zone: ZoneInfo
) -> list[RefusedChange]:
    """Finds which of the added entries are refused; `duty` is the party's plan by the city's folder.

    Shifts count before absences, so that an absence and who takes over can be entered together in any order.
    """
    room = MAX_CHANGES - sum(one.shift.period.end > now for one in present)
    refused = {
        position: RefusedChange(position, problem)
        for position, change in enumerate(added)
        if (problem := _find_problem(duty, change, now) or (ChangeProblem.TOO_MANY if position >= room else None))
    }
    absences = merge_duty(duty, [*present, *(one for one in added if one.kind is ChangeKind.ABSENCE)]).absences
    accepted = list(present)
    for position, change in enumerate(added):
        if change.kind is not ChangeKind.SHIFT or position in refused:
            continue
        if any(_overlap(change.shift, absence) for absence in absences):
            refused[position] = RefusedChange(position, ChangeProblem.AWAY)
        else:
            accepted.append(change)
    for position, change in enumerate(added):
        if change.kind is not ChangeKind.ABSENCE or position in refused:
            continue
        gaps = find_new_gaps(duty, accepted, [*accepted, change], change.shift.period, now, zone)
        if gaps:
            refused[position] = RefusedChange(position, ChangeProblem.LEAVES_GAP, gaps[0])
        else:
            accepted.append(change)
    return [refused[position] for position in sorted(refused)]


def judge_removal(
    duty: DutyPlan, present: Sequence[RosterChange], removed: RosterChange, now: datetime, zone: ZoneInfo
) -> RefusedChange | None:
    """Returns why an entry must stay: without it nobody who can be reached would be on duty."""
    without = [one for one in present if one.change_id != removed.change_id]
    gaps = find_new_gaps(duty, present, without, removed.shift.period, now, zone)
    return RefusedChange(0, ChangeProblem.LEAVES_GAP, gaps[0]) if gaps else None


def find_new_gaps(
    duty: DutyPlan,
    before: Sequence[RosterChange],
    after: Sequence[RosterChange],
    period: Period,
    now: datetime,
    zone: ZoneInfo,
) -> list[Period]:
    """Finds when, from now on, nobody who can be reached is on duty after a change who was before it."""
    future = Period(max(period.start, now), period.end)
    if future.end <= future.start:
        return []
    known = merge_duty(duty, before).find_gaps(future, zone)
    return [
        gap
        for gap in merge_duty(duty, after).find_gaps(future, zone)
        if not any(one.start <= gap.start and gap.end <= one.end for one in known)
    ]


def _find_problem(duty: DutyPlan, change: RosterChange, now: datetime) -> ChangeProblem | None:
    period, is_shift = change.shift.period, change.kind is ChangeKind.SHIFT
    person = next((one for one in duty.people if one.reference == change.shift.responder), None)
    problems = (
        (ChangeProblem.PERIOD_REVERSED, period.end <= period.start),
        (ChangeProblem.TOO_LONG, period.end - period.start > MAX_LENGTH),
        (ChangeProblem.OVER, period.end <= now),
        (ChangeProblem.UNKNOWN_RESPONDER, person is None),
        (ChangeProblem.IS_LEAD, is_shift and person is not None and person.is_lead),
        (ChangeProblem.UNREACHABLE, is_shift and person is not None and not person.contact_methods),
    )
    return next((problem for problem, applies in problems if applies), None)


def _overlap(shift: Shift, absence: Shift) -> bool:
    return (
        shift.responder == absence.responder
        and shift.period.start < absence.period.end
        and absence.period.start < shift.period.end
    )

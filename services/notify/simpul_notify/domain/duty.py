"""Who is on duty for a party at a moment: rotations, overrides, absences, and the gaps that they leave."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from simpul_notify.domain.escalation_policy import EscalationPolicy
from simpul_notify.domain.responders import Responder, Roster
from simpul_schema.vocabulary import AlertChannel, Urgency

HORIZON: Final = timedelta(days=14)
"""How far ahead gaps are found; what arises later is found when its time has come this near."""
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment until another one, which is not included."""

    start: datetime
    end: datetime

    def contains(self, moment: datetime) -> bool:
        """Whether a moment is in the period."""
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Shift:
    """A responder is on duty for a period."""

    responder: str
    period: Period


@dataclass(frozen=True, slots=True)
class Rotation:
    """Responders who are on duty for a week each, one after the other; the others stand by in the same order."""

    starts_at: datetime
    """The first handover; the later ones are at the same local time of the same weekday."""
    order: tuple[str, ...]

    def order_at(self, moment: datetime, zone: ZoneInfo) -> tuple[str, ...]:
        """Returns all responders, the one whose week it is at the front."""
        # The same time on a clock every week, also where a zone changes its offset.
        passed = moment.astimezone(zone).replace(tzinfo=None) - self.starts_at.astimezone(zone).replace(tzinfo=None)
        first = (passed // WEEK) % len(self.order)
        return self.order[first:] + self.order[:first]

    def handovers(self, period: Period, zone: ZoneInfo) -> Iterator[datetime]:
        """Yields the handovers in a period."""
        start = self.starts_at.astimezone(zone).replace(tzinfo=None)
        weeks = (period.start.astimezone(zone).replace(tzinfo=None) - start) // WEEK
        while (handover := (start + weeks * WEEK).replace(tzinfo=zone)) < period.end:
            if handover >= period.start:
                yield handover
            weeks += 1


@dataclass(frozen=True, slots=True)
class DutyPlan:
    """The people of a party, and when each is on duty.

    Without a rotation and shifts, all of them are on duty, in this order. With shifts, those only whose shift it is.
    """

    people: tuple[Responder, ...]
    rotation: Rotation | None = None
    shifts: tuple[Shift, ...] | None = None
    overrides: tuple[Shift, ...] = ()
    """Who takes over, before everybody else."""
    absences: tuple[Shift, ...] = field(default=())
    """Who is away; nobody is alerted then, whatever the rotation says."""

    def on_duty_at(self, moment: datetime, zone: ZoneInfo) -> tuple[Responder, ...]:
        """Returns who is on duty, the first one to be alerted at the front; leads are alerted when nobody reacts."""
        people = {person.reference: person for person in self.people if not person.is_lead}
        away = set(_at(self.absences, moment))
        order = dict.fromkeys((*_at(self.overrides, moment), *self._regular_at(moment, zone, people)))
        return tuple(people[reference] for reference in order if reference in people and reference not in away)

    def leads_at(self, moment: datetime) -> tuple[Responder, ...]:
        """Returns the leads who are not away."""
        away = set(_at(self.absences, moment))
        return tuple(person for person in self.people if person.is_lead and person.reference not in away)

    def _regular_at(self, moment: datetime, zone: ZoneInfo, people: Iterable[str]) -> Iterable[str]:
        if self.shifts is not None:
            return _at(self.shifts, moment)
        return self.rotation.order_at(moment, zone) if self.rotation else people

    def list_shifts(self, period: Period, zone: ZoneInfo) -> list[Shift]:
        """Lists who is the first to be alerted, and when."""
        shifts: list[Shift] = []
        for part in self._parts_of(period, zone):
            for person in self.on_duty_at(part.start, zone)[:1]:
                if shifts and shifts[-1].responder == person.reference and shifts[-1].period.end == part.start:
                    part = Period(shifts.pop().period.start, part.end)  # noqa: PLW2901 - the shift began before
                shifts.append(Shift(person.reference, part))
        return shifts

    def find_gaps(self, period: Period, zone: ZoneInfo) -> list[Period]:
        """Finds when nobody who can be reached is on duty."""
        gaps: list[Period] = []
        for part in self._parts_of(period, zone):
            if any(person.contact_methods for person in self.on_duty_at(part.start, zone)):
                continue
            if gaps and gaps[-1].end == part.start:
                part = Period(gaps.pop().start, part.end)  # noqa: PLW2901 - the gap began before
            gaps.append(part)
        return gaps

    def _parts_of(self, period: Period, zone: ZoneInfo) -> Iterator[Period]:
        """Yields the parts of a period in which nothing changes."""
        starts = sorted({period.start, *(at for at in self._changes(period, zone) if period.contains(at))})
        for start, end in zip(starts, (*starts[1:], period.end), strict=True):
            yield Period(start, end)

    def _changes(self, period: Period, zone: ZoneInfo) -> Iterator[datetime]:
        for shift in (*(self.shifts or ()), *self.overrides, *self.absences):
            yield from (shift.period.start, shift.period.end)
        if self.rotation:
            yield from self.rotation.handovers(period, zone)


@dataclass(frozen=True, slots=True)
class RosterPlan:
    """The people of all parties, and how they are alerted."""

    duties: Mapping[str, DutyPlan]
    channels: Mapping[Urgency, tuple[AlertChannel, ...]]
    policies: Mapping[Urgency, EscalationPolicy]
    coordinator: str
    zone: ZoneInfo

    @property
    def changes_with_time(self) -> bool:
        """Whether another moment may have other people on duty."""
        return any(
            duty.rotation or duty.shifts is not None or duty.overrides or duty.absences for duty in self.duties.values()
        )

    def roster_at(self, moment: datetime) -> Roster:
        """Returns who is on duty at a moment."""
        return Roster(
            {party: duty.on_duty_at(moment, self.zone) for party, duty in self.duties.items()},
            self.channels,
            {person.reference: person for duty in self.duties.values() for person in duty.people},
            {party: leads for party, duty in self.duties.items() if (leads := duty.leads_at(moment))},
            self.coordinator,
            self.policies,
            frozenset(away for duty in self.duties.values() for away in _at(duty.absences, moment)),
        )

    def list_shifts(self, party: str, period: Period) -> list[Shift]:
        """Lists who is on duty for a party in a period, one shift for each time without a change."""
        return self.duties[party].list_shifts(period, self.zone)


def _at(shifts: Sequence[Shift], moment: datetime) -> list[str]:
    return [shift.responder for shift in shifts if shift.period.contains(moment)]

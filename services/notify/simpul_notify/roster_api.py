"""Rosters by HTTP, for the pages of the desk: a coordinator reads all of them, a lead changes their own agency's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import FastAPI, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_notify.authentication import find_parties, verify_actor
from simpul_notify.domain.duty import HORIZON, WEEK, DutyPlan, Period, Shift
from simpul_notify.domain.numbers import mask_address
from simpul_notify.domain.responders import Responder
from simpul_notify.domain.roster_changes import ChangeKind, ChangeProblem, RefusedChange, RosterChange
from simpul_notify.roster import WatchedRoster
from simpul_notify.roster.calendars import write_calendar
from simpul_notify.use_cases.change_rosters import ChangeRosters, ChangeUnknown
from simpul_runtime.assertions import Claims
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys
from simpul_schema.vocabulary import ActorRole

ROSTERS: Final = "/rosters"
MAX_WEEKS: Final = 12
MAX_ENTRIES: Final = 200
"""Absences and shifts of one request."""
_CALENDAR: Final = WEEK * MAX_WEEKS
_Weeks = Annotated[int, Query(ge=1, le=MAX_WEEKS, description="weeks of the table of duty")]


class PeriodOut(BaseModel):
    """From a moment until another one, which is not included."""

    starts_at: datetime
    ends_at: datetime


class ShiftOut(PeriodOut):
    """A responder is the first to be alerted."""

    responder: str


class WeekOut(PeriodOut):
    """Who is on duty in a week, and when nobody is who can be reached."""

    shifts: list[ShiftOut]
    gaps: list[PeriodOut]


class ContactOut(BaseModel):
    """A number or mail address of a responder."""

    method: str
    address: str = Field(description="masked unless the reader leads the agency; empty if it is not verified")
    is_verified: bool


class PersonOut(BaseModel):
    """A responder of the party."""

    responder: str
    is_lead: bool
    is_on_duty: bool
    is_away: bool
    contacts: list[ContactOut]


class EntryOut(PeriodOut):
    """An absence or a shift; those of the city's folder have no id, and are changed there."""

    change_id: UUID | None
    kind: ChangeKind
    responder: str


class PartyOut(BaseModel):
    """A party, and who of it is alerted now."""

    party: str
    on_duty: list[str] = Field(description="the first one to be alerted at the front")
    gaps: list[PeriodOut] = Field(description="when nobody who can be reached is on duty, in the next two weeks")


class RosterOut(PartyOut):
    """The roster of a party."""

    may_change: bool
    has_rotation: bool = Field(description="whether the people take turns, a week each")
    known_until: datetime | None = Field(description="how far a calendar of the city's folder is read")
    people: list[PersonOut]
    weeks: list[WeekOut]
    entries: list[EntryOut]


class EntryIn(BaseModel):
    """An absence or a shift to add."""

    kind: ChangeKind
    responder: str = Field(max_length=80)
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class EntriesIn(BaseModel):
    """What is added together, or not at all."""

    entries: list[EntryIn] = Field(min_length=1, max_length=MAX_ENTRIES)


class RefusedOut(BaseModel):
    """An entry that is refused."""

    position: int = Field(description="among the entries of the request; 0 is the first")
    problem: ChangeProblem
    gap: PeriodOut | None = Field(description="when nobody who can be reached would be on duty")


class StoredOut(BaseModel):
    """What came of entries: all of them are stored, or none."""

    is_stored: bool
    refused: list[RefusedOut]


class PartiesOut(BaseModel):
    """The parties whose rosters a person may read."""

    parties: list[PartyOut]


@dataclass(frozen=True)
class RosterPages:
    """What the routes share; `levels` maps each escalation level to the agency that it is part of."""

    roster: WatchedRoster
    changes: ChangeRosters
    keys: Keys
    city: City
    levels: Mapping[str, str]

    async def verify(self, request: Request, party: str, *, to_change: bool = False) -> tuple[Claims, DutyPlan]:
        """Returns who acts and the roster of a party; what is not theirs is as unknown as what does not exist."""
        claims = await verify_actor(request, self.keys)
        may_read = find_parties(claims, self.levels)
        duty = self.roster.plan.duties.get(party)
        if duty is None or (may_read is not None and party not in may_read):
            raise HTTPException(404)
        if to_change and claims.role is not ActorRole.AGENCY_LEAD:
            raise HTTPException(403)
        return claims, duty

    def show_party(self, party: str, duty: DutyPlan, now: datetime) -> PartyOut:
        """Shows who of a party is on duty."""
        on_duty = [person.reference for person in duty.on_duty_at(now, self.city.zone)]
        return PartyOut(party=party, on_duty=on_duty, gaps=self._show_gaps(duty, Period(now, now + HORIZON)))

    def show_roster(self, party: str, duty: DutyPlan, changes: Sequence[RosterChange], by: Claims, weeks: int) -> Any:
        """Shows the roster of a party for its lead, or with masked addresses for the coordinator."""
        now = utc_now()
        is_lead = by.role is ActorRole.AGENCY_LEAD
        away = {one.responder for one in duty.absences if one.period.contains(now)}
        shown = self.show_party(party, duty, now)
        return RosterOut(
            **shown.model_dump(),
            may_change=is_lead,
            has_rotation=duty.rotation is not None,
            known_until=now + HORIZON if duty.shifts is not None else None,
            people=[_show_person(one, shown.on_duty, away, is_masked=not is_lead) for one in duty.people],
            weeks=[self._show_week(duty, week) for week in self._list_weeks(duty, weeks, now)],
            entries=_list_entries(self.roster.file_plan.duties[party], changes, now),
        )

    def _list_weeks(self, duty: DutyPlan, count: int, now: datetime) -> list[Period]:
        """Lists weeks from the last handover of the rotation, or from Monday."""
        zone = self.city.zone
        if duty.rotation:
            starts = list(duty.rotation.handovers(Period(now - WEEK, now + WEEK * count), zone))
        else:
            monday = now.astimezone(zone).date() - timedelta(days=now.astimezone(zone).weekday())
            starts = [datetime.combine(monday + WEEK * number, time(), zone) for number in range(count + 1)]
        begun = [start for start in starts if start <= now][-1:] + [start for start in starts if start > now]
        return [Period(start, end) for start, end in pairwise(begun)][:count]

    def _show_week(self, duty: DutyPlan, week: Period) -> WeekOut:
        shifts = [_show_shift(one) for one in duty.list_shifts(week, self.city.zone)]
        period = Period(max(week.start, utc_now()), week.end)
        gaps = self._show_gaps(duty, period)
        return WeekOut(starts_at=week.start, ends_at=week.end, shifts=shifts, gaps=gaps)

    def _show_gaps(self, duty: DutyPlan, period: Period) -> list[PeriodOut]:
        return [_show_period(gap) for gap in duty.find_gaps(period, self.city.zone)]


def add_roster_routes(web: FastAPI, pages: RosterPages) -> None:
    """Adds the routes."""
    _add_reading(web, pages)

    @web.post(f"{ROSTERS}/{{party}}/entries", tags=["rosters"], summary="Add absences and shifts, all or none")
    async def add(request: Request, party: str, body: EntriesIn, *, preview: bool = False) -> StoredOut:
        claims, _ = await pages.verify(request, party, to_change=True)
        added = [
            RosterChange(uuid4(), party, one.kind, Shift(one.responder, Period(one.starts_at, one.ends_at)))
            for one in body.entries
        ]
        refused = await pages.changes.add(party, added, claims, is_preview=preview)
        return StoredOut(is_stored=not (refused or preview), refused=[_show_refused(one) for one in refused])

    @web.delete(f"{ROSTERS}/{{party}}/entries/{{change_id}}", tags=["rosters"], summary="Remove an absence or a shift")
    async def remove(request: Request, party: str, change_id: UUID) -> StoredOut:
        claims, _ = await pages.verify(request, party, to_change=True)
        try:
            refused = await pages.changes.remove(party, change_id, claims)
        except ChangeUnknown as error:
            raise HTTPException(404) from error
        return StoredOut(is_stored=not refused, refused=[_show_refused(refused)] if refused else [])


def _add_reading(web: FastAPI, pages: RosterPages) -> None:
    @web.get(ROSTERS, tags=["rosters"], summary="Who is on duty for each party that the person may see")
    async def list_parties(request: Request) -> PartiesOut:
        may_read = find_parties(await verify_actor(request, pages.keys), pages.levels)
        now = utc_now()
        duties = sorted(pages.roster.plan.duties.items())
        shown = [pages.show_party(party, duty, now) for party, duty in duties if may_read is None or party in may_read]
        return PartiesOut(parties=shown)

    @web.get(f"{ROSTERS}/{{party}}", tags=["rosters"], summary="People, duty of the coming weeks, absences and shifts")
    async def roster(request: Request, party: str, weeks: _Weeks = 6) -> RosterOut:
        claims, duty = await pages.verify(request, party)
        shown: RosterOut = pages.show_roster(party, duty, await pages.changes.find_changes(party), claims, weeks)
        return shown

    @web.get(f"{ROSTERS}/{{party}}/calendar.ics", tags=["rosters"], summary="The duty of twelve weeks as iCalendar")
    async def calendar(request: Request, party: str) -> Response:
        _, duty = await pages.verify(request, party)
        now = utc_now()
        shifts = duty.list_shifts(Period(now, now + _CALENDAR), pages.city.zone)
        return Response(write_calendar(party, shifts, now), media_type="text/calendar; charset=utf-8")


def _show_person(person: Responder, on_duty: Sequence[str], away: set[str], *, is_masked: bool) -> PersonOut:
    verified = [
        ContactOut(method=one.method, address=mask_address(address) if is_masked else address, is_verified=True)
        for one, address in person.addresses.items()
    ]
    unverified = [ContactOut(method=one, address="", is_verified=False) for one in sorted(person.unverified)]
    return PersonOut(
        responder=person.reference,
        is_lead=person.is_lead,
        is_on_duty=person.reference in on_duty,
        is_away=person.reference in away,
        contacts=[*verified, *unverified],
    )


def _list_entries(of_file: DutyPlan, changes: Sequence[RosterChange], now: datetime) -> list[EntryOut]:
    listed = [(None, ChangeKind.ABSENCE, one) for one in of_file.absences]
    listed += [(None, ChangeKind.SHIFT, one) for one in of_file.overrides]
    entered: list[tuple[UUID | None, ChangeKind, Shift]] = [(one.change_id, one.kind, one.shift) for one in changes]
    return [
        EntryOut(
            change_id=change_id,
            kind=kind,
            responder=shift.responder,
            starts_at=shift.period.start,
            ends_at=shift.period.end,
        )
        for change_id, kind, shift in sorted([*listed, *entered], key=lambda one: one[2].period.start)
        if shift.period.end > now
    ]


def _show_shift(shift: Shift) -> ShiftOut:
    return ShiftOut(responder=shift.responder, starts_at=shift.period.start, ends_at=shift.period.end)


def _show_period(period: Period) -> PeriodOut:
    return PeriodOut(starts_at=period.start, ends_at=period.end)


def _show_refused(refused: RefusedChange) -> RefusedOut:
    gap = _show_period(refused.gap) if refused.gap else None
    return RefusedOut(position=refused.position, problem=refused.problem, gap=gap)

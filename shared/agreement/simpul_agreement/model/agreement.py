"""An agreement as a whole: its parties, hours, chapters and clauses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cached_property
from zoneinfo import ZoneInfo

from simpul_agreement.deadlines import Calendar
from simpul_agreement.facts import AgencyKind, TimeBand
from simpul_agreement.model.clauses import Chapter, Clause, Source, Where
from simpul_agreement.model.effects import ServiceNeeded
from simpul_agreement.model.terms import BilingualText
from simpul_schema.vocabulary import Right, Service


@dataclass(frozen=True, slots=True)
class Signatory:
    """For whom, in which office and by which authority a person signs; the name is empty until it is known."""

    entity: BilingualText
    office: BilingualText
    authority: BilingualText
    person: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """A party and what it promises. Agencies that exist in each kelurahan or kecamatan are one party here."""

    code: str
    kind: AgencyKind | None
    name: BilingualText
    mandate: BilingualText
    area: BilingualText
    services: frozenset[Service]
    open_in: frozenset[TimeBand]
    duty_in: frozenset[TimeBand]
    """When its duty contact can be reached outside office hours."""
    above: str
    """The party at the next escalation level; empty at the top."""
    part_of: str
    """The party that it belongs to and with which it is excluded."""
    signs: bool
    valid_from: date | None
    valid_until: date | None
    signatory: Signatory | None = None
    where: Where = field(default=Where(), compare=False)


@dataclass(frozen=True, slots=True)
class Band:
    """Hours of the week that are one value of `time_of_report`; weekdays count from Monday, 0."""

    name: TimeBand
    days: frozenset[int]
    start: time
    end: time
    where: Where = field(default=Where(), compare=False)

    def minutes(self) -> frozenset[int]:
        """The minutes of the week that it covers; an end of 00:00 is midnight."""
        last = self.end.hour * 60 + self.end.minute or 1440
        first = self.start.hour * 60 + self.start.minute
        return frozenset(day * 1440 + minute for day in self.days for minute in range(first, last))


@dataclass(frozen=True)
class Agreement:
    """One version of the agreement."""

    version: str
    title: BilingualText
    active_from: datetime
    hub: str
    parties: tuple[Party, ...]
    chapters: tuple[Chapter, ...]
    clauses: tuple[Clause, ...]
    bands: tuple[Band, ...]
    holidays: frozenset[date]
    holidays_source: Source | None = None
    number: str = ""
    """The number that the city gave the signed document."""
    valid_until: date | None = None
    """The last day that the document states; the version decides until the next one is active."""

    @cached_property
    def by_id(self) -> Mapping[str, Clause]:
        """Clauses by their id."""
        return {clause.id: clause for clause in self.clauses}

    @cached_property
    def party_of(self) -> Mapping[str, Party]:
        """Parties by their code."""
        return {party.code: party for party in self.parties}

    @cached_property
    def of_kind(self) -> Mapping[str, Party]:
        """The parties that take referrals, by kind."""
        return {party.kind.value: party for party in self.parties if party.kind}

    def parts_of(self, code: str) -> tuple[str, ...]:
        """A party and those that it is part of, in turn; the code alone for one that the agreement does not know."""
        found: list[str] = []
        while code and code not in found:
            found.append(code)
            party = self.party_of.get(code)
            code = party.part_of if party else ""
        return tuple(found)

    def excluded_with(self, code: str) -> AgencyKind | None:
        """The kind whose exclusion excludes this party too; None for a party that cannot be excluded."""
        party = self.party_of.get(code)
        if party is None or not party.part_of:
            return party.kind if party else None
        return self.excluded_with(party.part_of)

    @cached_property
    def right_of(self) -> Mapping[Service, Right]:
        """The right that each service serves."""
        needs = (clause.effect for clause in self.clauses)
        return {need.service: need.right for need in needs if isinstance(need, ServiceNeeded)}

    @cached_property
    def calendar(self) -> Calendar:
        """The office hours and holidays."""
        bands = [band for band in self.bands if band.name is TimeBand.OFFICE_HOURS]
        office = (tuple(sorted((band.start, band.end) for band in bands if day in band.days)) for day in range(7))
        return Calendar(tuple(office), self.holidays)

    @cached_property
    def hours(self) -> Mapping[int, TimeBand]:
        """The band of each minute of the week."""
        return {minute: band.name for band in self.bands for minute in band.minutes()}

    def band_at(self, moment: datetime, zone: ZoneInfo) -> TimeBand:
        """The band of a point in time; a holiday counts as a day off."""
        local = moment.astimezone(zone)
        if local.date() in self.holidays:
            return TimeBand.DAY_OFF
        return self.hours[local.weekday() * 1440 + local.hour * 60 + local.minute]

    def periods(self) -> Sequence[date]:
        """The days on which a clause or party starts or ends, the earliest first."""
        days = {self.active_from.date()}
        everything: tuple[Clause | Party, ...] = (*self.clauses, *self.parties)
        for dated in everything:
            days |= {day for day in (dated.valid_from, dated.valid_until) if day and day > self.active_from.date()}
        return sorted(days)

"""Reads `roster.yaml` and finds who is missing in it; the agreement names the parties."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from simpul_city import City, read_yaml
from simpul_notify.domain.duty import HORIZON, DutyPlan, Period, RosterPlan, Rotation, Shift
from simpul_notify.domain.escalation_policy import DEFAULT_POLICIES, EscalationPolicy, Methods
from simpul_notify.domain.responders import CHANNELS, Recipient, Responder, Roster
from simpul_notify.domain.roster_changes import RosterChange, merge_changes
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.errors import NumberInvalid, RosterInvalid
from simpul_notify.roster.calendars import read_shifts
from simpul_notify.roster.numbers import normalize_mobile_number
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import AlertChannel, Urgency

HUB: Final = "hub"
"""The kind of the agency that coordinates the others."""


def read_escalation_levels(agreements: Path) -> dict[str, str]:
    """Reads the escalation levels of all versions of the agreement: level -> the agency that it is part of, or ''."""
    levels: dict[str, str] = {}
    for path in sorted(agreements.glob("*/agreement.yaml")):
        parties = read_yaml(path)["parties"]
        named = {party.get("above", "") for party in parties} | _parties_in_escalation_policies(path.parent / "clauses")
        levels |= {p["party"]: p.get("part_of", "") for p in parties if "kind" not in p and p["party"] in named}
    return levels


def _parties_in_escalation_policies(clauses: Path) -> set[str]:
    named: set[str] = set()
    # Parsing YAML is slow, and only one of many files contains the escalation policy.
    for path in (path for path in clauses.glob("*.yaml") if "escalation_level:" in path.read_text(encoding="utf-8")):
        for effect in (clause["then"] for chapter in read_yaml(path)["chapters"] for clause in chapter["clauses"]):
            for selectors in (effect.get("to", ()), effect.get("also", ())) if "escalation_level" in effect else ():
                named |= {selectors} if isinstance(selectors, str) else set(selectors)
    return named


@dataclass(frozen=True, slots=True)
class RosterFile:
    """What a roster file says, and what is wrong with it."""

    plan: RosterPlan
    gaps: list[str]
    """Who is missing; the others can be alerted."""
    faults: list[str]
    """What makes the roster unusable."""

    @classmethod
    def read(cls, path: Path, city: City, levels: Collection[str], now: datetime) -> "RosterFile":
        """Reads the roster and finds its gaps from `now` on; `levels` are those of the agreement."""
        return _Reading(path, city, levels, now).read()


def read_roster(path: Path, city: City, levels: Collection[str], changes: Sequence[RosterChange] = ()) -> Roster:
    """Reads who is on duty now; raises RosterInvalid with all gaps at once.

    `changes` are what leads entered at the desk.
    """
    now = utc_now()
    file = RosterFile.read(path, city, levels, now)
    if file.gaps or file.faults:
        raise refuse(path, [*file.gaps, *file.faults])
    return merge_changes(file.plan, changes).roster_at(now)


def refuse(path: Path, gaps: Sequence[str]) -> RosterInvalid:
    """Returns the refusal of a roster with everything that is wrong in it."""
    return RosterInvalid(f"{path}: " + "; ".join(gaps))


class _Reading:
    """One reading of a roster; notes what is wrong and continues."""

    def __init__(self, path: Path, city: City, levels: Collection[str], now: datetime) -> None:
        self._path, self._city, self._levels, self._now = path, city, levels, now
        self._gaps: list[str] = []
        self._faults: list[str] = []

    def read(self) -> RosterFile:
        described = read_yaml(self._path)
        country = described["country"]
        listed = {**described["on_duty"], **described.get("levels", {})}
        duties = {
            party: self._read_duty(
                party,
                entries,
                country,
                described.get("duty", {}).get(party, {}),
                described.get("overrides", {}).get(party, ()),
            )
            for party, entries in listed.items()
        }
        channels = self._read_channels(described["channels"])
        policies = self._read_policies(described.get("escalation", {}))
        coordinator = next((agency.code for agency in self._city.agencies if agency.kind == HUB), "")
        plan = RosterPlan(duties, channels, policies, coordinator, self._city.zone)
        self._find_gaps(plan)
        return RosterFile(plan, self._gaps, self._faults)

    def _find_gaps(self, plan: RosterPlan) -> None:
        parties = self._city.agency_codes | set(self._levels)
        period = Period(self._now, self._now + HORIZON)
        for party in sorted(parties):
            duty = plan.duties.get(party)
            if duty is None or not any(not person.is_lead for person in duty.people):
                self._gaps.append(f"{party}: nobody on duty")
            elif not any(person.contact_methods or person.unverified for person in duty.people):
                # Everybody's contact methods were refused, which is named already.
                continue
            else:
                gaps = duty.find_gaps(period, self._city.zone)
                self._gaps += [f"{party}: nobody on duty{describe_gap(gap, period, self._city.zone)}" for gap in gaps]
        self._gaps += [
            f"{party}: neither an agency of {self._city.name} nor a level of its agreement"
            for party in sorted(set(plan.duties) - parties)
        ]
        people = [person.reference for duty in plan.duties.values() for person in duty.people]
        if len(set(people)) != len(people):
            self._faults.append("two people share a responder reference")

    def _read_duty(
        self,
        party: str,
        entries: Sequence[Mapping[str, Any]],
        country: str,
        duty: Mapping[str, Any],
        overrides: Sequence[Mapping[str, Any]],
    ) -> DutyPlan:
        people = tuple(self._read_responder(entry, country, party) for entry in entries or ())
        absences = [
            shift
            for entry in entries or ()
            for shift in self._read_shifts(
                party, [{"responder": entry["responder"]} | a for a in entry.get("absences", ())]
            )
        ]
        plan = DutyPlan(
            people,
            self._read_rotation(party, duty),
            self._read_calendar(party, duty),
            tuple(self._read_shifts(party, overrides)),
            tuple(absences),
        )
        known = {person.reference for person in people}
        named = {shift.responder for shift in (*plan.overrides, *(plan.shifts or ()))}
        named |= set(plan.rotation.order) if plan.rotation else set()
        self._gaps += [f"{party}: {stranger} is on duty but not listed" for stranger in sorted(named - known)]
        return plan

    def _read_rotation(self, party: str, duty: Mapping[str, Any]) -> Rotation | None:
        if "weekly" not in duty:
            return None
        try:
            return Rotation(_read_moment(duty["starts"], self._city.zone, time()), tuple(duty["weekly"]))
        except (KeyError, TypeError, ValueError):
            self._faults.append(f'{party}: a weekly rotation needs `starts`, such as "2026-11-23 08:00"')
            return None

    def _read_calendar(self, party: str, duty: Mapping[str, Any]) -> tuple[Shift, ...] | None:
        if "calendar" not in duty:
            return None
        period = Period(self._now - timedelta(days=1), self._now + HORIZON)
        try:
            return read_shifts(self._path.parent / duty["calendar"], period, self._city.zone)
        except (OSError, ValueError, KeyError) as error:
            self._faults.append(f"{party}: its calendar cannot be read ({type(error).__name__})")
            return None

    def _read_shifts(self, party: str, described: Sequence[Mapping[str, Any]], responder: str = "") -> Iterator[Shift]:
        zone = self._city.zone
        for one in described:
            try:
                start, end = _read_moment(one["from"], zone, time()), _read_moment(one["until"], zone, time(23, 59))
                yield Shift(responder or one["responder"], Period(start, end))
            except (KeyError, TypeError, ValueError):
                self._faults.append(
                    f"{party}: an absence or override needs `from` and `until`, such as 2026-12-01 or "
                    '"2026-12-01 08:00"'
                )

    def _read_responder(self, entry: Mapping[str, Any], country: str, party: str) -> Responder:
        addresses = self._read_addresses(entry, country, party)
        unverified = frozenset(entry.get("unverified", ()))
        if unknown := unverified - {one.method for one in addresses} - {channel.value for channel in CHANNELS}:
            self._faults.append(f"{party}: {entry['responder']} has no {', '.join(sorted(unknown))} to be unverified")
        verified: dict[AlertChannel, list[str]] = {}
        for recipient, address in addresses.items():
            if recipient.method not in unverified:
                verified.setdefault(recipient.channel, []).append(address)
        if addresses and not verified:
            self._gaps.append(f"{party}: {entry['responder']} has no verified contact method")
        return Responder(
            entry["responder"],
            entry["language"],
            {channel: found[0] for channel, found in verified.items()},
            bool(entry.get("lead")),
            unverified,
            self._read_safe_hours(entry, party),
            {channel: tuple(found[1:]) for channel, found in verified.items() if found[1:]},
        )

    def _read_addresses(self, entry: Mapping[str, Any], country: str, party: str) -> dict[Recipient, str]:
        """Reads every number and mail address; one may be written alone, several as a list."""
        person = entry["responder"]
        addresses: dict[Recipient, str] = {}
        for position, number in enumerate(_listed(entry.get("sms", "")), 1):
            recipient = Recipient(person, AlertChannel.SMS, position)
            try:
                addresses[recipient] = normalize_mobile_number(number, country)
            except NumberInvalid as problem:
                where = "" if position == 1 else f" ({recipient.method})"
                self._gaps.append(f"{party}: {person}{where} {problem}")
        for position, address in enumerate(_listed(entry.get("mail", "")), 1):
            recipient = Recipient(person, AlertChannel.MAIL, position)
            if "@" in address:
                addresses[recipient] = address
            else:
                where = "" if position == 1 else f" ({recipient.method})"
                self._gaps.append(f"{party}: {person}{where} has no mail address")
        return addresses

    def _read_safe_hours(self, entry: Mapping[str, Any], party: str) -> SafeHours | None:
        if "safe_hours" not in entry:
            return None
        try:
            return SafeHours.read(str(entry["safe_hours"]))
        except ValueError:
            self._faults.append(f"{party}: the safe hours of {entry['responder']} are not written as 06.00-21.00")
            return None

    def _read_channels(self, described: Mapping[str, Sequence[str]]) -> dict[Urgency, tuple[AlertChannel, ...]]:
        channels = {Urgency(urgency): tuple(map(AlertChannel, listed)) for urgency, listed in described.items()}
        self._faults += [f"urgency {urgency}: no channel" for urgency in Urgency if not channels.get(urgency)]
        self._faults += [
            f"urgency {urgency}: unknown channel" for urgency in channels if set(channels[urgency]) - set(CHANNELS)
        ]
        return channels

    def _read_policies(self, described: Mapping[str, Any]) -> Mapping[Urgency, EscalationPolicy]:
        """Reads the escalation policy of each urgency; what is not described keeps its default."""
        policies = dict(DEFAULT_POLICIES)
        for urgency, policy in described.items():
            try:
                acknowledge = policy.get("acknowledge_minutes")
                policies[Urgency(urgency)] = EscalationPolicy(
                    Methods(policy["methods"]),
                    _minutes(policy["handset_minutes"]),
                    None if acknowledge is None else _minutes(acknowledge),
                )
            except (AttributeError, KeyError, TypeError, ValueError):
                self._faults.append(
                    f"escalation {urgency}: write methods (parallel or in_turn), handset_minutes, and "
                    "acknowledge_minutes unless nobody has to acknowledge"
                )
        return policies


def _listed(written: Any) -> list[str]:
    """Returns what is written alone or as a list; something that is missing is one empty text."""
    return [str(one) for one in written] if isinstance(written, list) and written else [str(written or "")]


def _minutes(written: Any) -> timedelta:
    if not isinstance(written, int) or written < 1:
        raise ValueError
    return timedelta(minutes=written)


def _read_moment(written: Any, zone: ZoneInfo, of_day: time) -> datetime:
    """Reads a local time, or a day, of which `of_day` is meant."""
    if isinstance(written, datetime):
        moment = written
    elif isinstance(written, date):
        moment = datetime.combine(written, of_day)
    else:
        text = str(written).strip()
        moment = datetime.fromisoformat(text)
        if len(text) <= len("2026-12-01"):
            moment = datetime.combine(moment.date(), of_day)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def describe_gap(gap: Period, period: Period, zone: ZoneInfo) -> str:
    """Returns from when until when nobody is on duty; empty for the whole period."""
    if gap == period:
        return ""
    start, end = (moment.astimezone(zone).strftime("%d/%m %H.%M %Z") for moment in (gap.start, gap.end))
    return f" from {start}" if gap.end == period.end else f" from {start} until {end}"

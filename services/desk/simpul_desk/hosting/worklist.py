"""The rows of a worklist: one for each case, first what runs out first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from simpul_agency.referral_view import ReferralView
from simpul_desk.hosting.steps import ServiceStep, step_of

SOON: Final = timedelta(minutes=30)
"""A deadline this near is shown as running out."""


class EntryKind(StrEnum):
    """What a person has to do."""

    REFERRAL = "referral"
    PLAN = "plan"
    EXCLUSION = "exclusion"


class Pressure(StrEnum):
    """How near a deadline is."""

    LATE = "late"
    SOON = "soon"
    CALM = "calm"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One service of a row."""

    service: str
    step: ServiceStep


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: what one case asks of one agency."""

    agency: str
    referral_id: UUID
    case_id: UUID
    kind: EntryKind
    urgency: str
    due_at: datetime | None
    """What runs out next; None when no deadline runs."""
    received_at: datetime
    services: tuple[ServiceLine, ...] = ()
    must_acknowledge: bool = False
    """Whether a consent was withdrawn and the end of processing must be confirmed."""
    is_open: bool = True
    version: str = ""
    """Changes with everything that a decision is based on; empty for a decision that routing keeps."""
    lacks_information: bool = False
    """Whether somebody looked at it and information is missing."""
    seen_by: tuple[str, ...] = field(default=(), repr=False)
    """Names of the people who opened it, the first first."""
    is_unread: bool = True
    """Whether the person who reads the list has not opened it."""

    @property
    def waits_for_answer(self) -> bool:
        """Whether a service waits for an answer."""
        return any(line.step is ServiceStep.WAITING for line in self.services)

    def pressure_at(self, now: datetime) -> Pressure:
        """How near the next deadline is."""
        if self.due_at is None:
            return Pressure.NONE
        if self.due_at <= now:
            return Pressure.LATE
        return Pressure.SOON if self.due_at - now <= SOON else Pressure.CALM


def build_entry(agency: str, view: ReferralView, due_at: datetime | None) -> Entry:
    """Builds the row of a referral."""
    return Entry(
        agency=agency,
        referral_id=view.referral_id,
        case_id=view.first.data.case_id,
        kind=EntryKind.REFERRAL,
        urgency=view.urgency.value,
        due_at=due_at if view.is_open else None,
        received_at=view.first.time,
        services=tuple(ServiceLine(one.requested.service.value, step_of(one)) for one in view.services if one.is_open),
        must_acknowledge=view.must_acknowledge,
        is_open=view.is_open or view.must_acknowledge,
        version=compute_version(view),
    )


def compute_version(view: ReferralView) -> str:
    """Returns a digest of what a person decides about: the services, where they stand, and the facts.

    A deadline that passes, or the city's confirmation of a reply, changes nothing that somebody has to read again.
    """
    parts = [sha256(view.newest_facts).hexdigest(), *(f"withdrawn {one.service_id}" for one in view.withdrawn)]
    parts += [f"{one.service_id} {one.requested.role.value} {step_of(one).value}" for one in view.services]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def divide_by_pressure(entries: Sequence[Entry], now: datetime) -> dict[Pressure, int]:
    """Counts rows by how near their deadline is."""
    found = [entry.pressure_at(now) for entry in entries]
    return {pressure: found.count(pressure) for pressure in Pressure}

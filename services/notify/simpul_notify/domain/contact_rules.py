"""Whether an address may be used now: the last check before every message of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from simpul_notify.domain.deliveries import Problem
from simpul_notify.domain.numbers import written_forms
from simpul_notify.domain.safe_hours import SafeHours
from simpul_schema.vocabulary import Urgency

LIMIT_PERIOD: Final = timedelta(hours=1)
"""The period in which the messages to one person and to one number are counted."""


@dataclass(frozen=True, slots=True)
class ContactRules:
    """What a city allows."""

    zone: ZoneInfo
    never: frozenset[str] = field(default=frozenset(), repr=False)
    """Numbers (digits as people write them) and mail addresses that are never used, such as a suspect's phone."""
    per_hour: int = 30
    """Messages that a person or a number gets in an hour; later ones wait and are bundled."""
    urgent_per_hour: int = 60
    """The same for urgent messages."""

    def limit_of(self, urgency: Urgency) -> int:
        """Returns how many messages of an hour a message of this urgency may follow."""
        return self.urgent_per_hour if urgency is Urgency.HIGH else self.per_hour


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an address may not be used, and until when; None if never."""

    problem: Problem
    until: datetime | None


def find_hindrance(
    rules: ContactRules,
    address: str,
    urgency: Urgency,
    *,
    safe_hours: SafeHours | None,
    recent: Sequence[datetime],
    now: datetime,
) -> Hindrance | None:
    """Returns why a message may not be sent to an address now; `recent` has the moments of the last hour's messages."""
    if not written_forms(address).isdisjoint(rules.never):
        return Hindrance(Problem.NEVER_CONTACT, None)
    local = now.astimezone(rules.zone)
    if safe_hours is not None and not safe_hours.contains(local.time()):
        return Hindrance(Problem.OUTSIDE_SAFE_HOURS, _next_start(safe_hours, local))
    limit = rules.limit_of(urgency)
    counted = sorted(moment for moment in recent if now - moment < LIMIT_PERIOD)
    if len(counted) >= limit:
        return Hindrance(Problem.TOO_MANY, counted[-limit] + LIMIT_PERIOD)
    return None


def _next_start(hours: SafeHours, local: datetime) -> datetime:
    start = datetime.combine(local.date(), hours.start, local.tzinfo)
    return start if start > local else datetime.combine(local.date() + timedelta(days=1), hours.start, local.tzinfo)

"""The report of reach: of how many events people were informed, how soon, and how the messages reached them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_notify.repository import reach
from simpul_notify.repository.reach import GroupBy, Informed, Reach

COLUMNS: Final = (
    "month", "party", "events", "informed", "exhausted", "informed_seconds", "person", "by", "provider",
    "messages", "arrived", "failed", "acknowledged", "arrival_seconds", "answer_seconds",
)  # fmt: skip
MONTHS: Final = 3
"""Months of a report for which none is chosen, the present one included."""
_EVENT_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months, by the city's time."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, month: str, now: datetime, zone: ZoneInfo) -> "Period":
        """Returns a month such as 2026-11, or the last ones if it is empty; raises ValueError."""
        first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if not month:
            return cls(_add_months(first, 1 - MONTHS), _add_months(first, 1))
        chosen = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
        return cls(chosen, _add_months(chosen, 1))


def _add_months(first: datetime, count: int) -> datetime:
    years, month = divmod(first.year * 12 + first.month - 1 + count, 12)
    return first.replace(year=years, month=month + 1)


async def read_report(
    connection: AsyncConnection, period: Period, by: GroupBy, zone: ZoneInfo, parties: Collection[str] | None = None
) -> list[list[str]]:
    """Reads the rows of a period, those of `parties` only if given; a row has a text for each of COLUMNS.

    For each month and party first a row of its events and then rows of its messages, so that sums are right. Durations
    are in seconds.
    """
    informed = await reach.find_informed(connection, period.since, period.until, zone.key)
    reached = await reach.find_reach(connection, period.since, period.until, by, zone.key)
    rows = [*map(_row_of_events, informed), *map(_row_of_messages, reached)]
    return sorted((row for row in rows if parties is None or row[1] in parties), key=lambda row: (row[:2], row[6:9]))


def _row_of_events(one: Informed) -> list[str]:
    return [
        one.month,
        one.party,
        *_texts(one.events, one.informed, one.exhausted, one.delay_seconds),
        *[""] * (len(COLUMNS) - _EVENT_COLUMNS),
    ]


def _row_of_messages(one: Reach) -> list[str]:
    return [
        one.month,
        one.party,
        "",
        "",
        "",
        "",
        one.responder,
        one.method,
        one.provider,
        *_texts(one.messages, one.arrived, one.failed, one.acknowledged, one.arrival_seconds, one.answer_seconds),
    ]


def _texts(*values: float | None) -> list[str]:
    return ["" if value is None else str(round(value)) for value in values]

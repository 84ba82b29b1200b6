"""When the violence happened: the hour or the day that a report names, and its distance from the report."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from simpul_agreement.deadlines import Calendar, Within
from simpul_agreement.facts import TimeSinceEvent

_DAY: Final = "%Y-%m-%d"
_HOUR: Final = "%Y-%m-%dT%H"


@dataclass(frozen=True, slots=True)
class EventTime:
    """The hour or the day of the event as two moments: not before `earliest`, and before `latest`."""

    earliest: datetime
    latest: datetime

    @classmethod
    def parse(cls, happened_at: str, zone: ZoneInfo) -> "EventTime | None":
        """Reads a day and an hour such as `2026-11-24T21`, or a day; None for anything else, and for no real date."""
        for form, length in ((_HOUR, timedelta(hours=1)), (_DAY, timedelta(days=1))):
            try:
                earliest = datetime.strptime(happened_at, form).replace(tzinfo=zone)
            except ValueError:
                continue
            return cls(earliest, earliest + length)
        return None

    def before(self, received_at: datetime) -> TimeSinceEvent:
        """Returns the band of the time from the event to the report.

        A day covers several bands: under 24 hours and over 72 hours only where they are certain, so that
        treatment which may still help is offered. An event after the report counts as under 24 hours.
        """
        if received_at - self.latest >= timedelta(hours=72):
            return TimeSinceEvent.OVER_72H
        is_certain = received_at - self.earliest < timedelta(hours=24)
        return TimeSinceEvent.UNDER_24H if is_certain else TimeSinceEvent.FROM_24H_TO_72H


def end_treatment_window(
    within: Within, began: datetime, reported: datetime, zone: ZoneInfo, calendar: Calendar
) -> datetime:
    """Returns when the time for treatment and evidence ends that began with the event: never before the report."""
    return max(within.due(began, zone, calendar), reported)

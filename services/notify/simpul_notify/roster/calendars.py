"""Duty as iCalendar: what an office keeps in its calendar is read, and the roster is written for one."""

from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from simpul_notify.domain.duty import Period, Shift


def read_shifts(path: Path, period: Period, zone: ZoneInfo) -> tuple[Shift, ...]:
    """Reads the events of a period, repeated ones too: the title is a responder's reference.

    Raises OSError and ValueError.
    """
    # Imported here, because few rosters name a calendar, and these take 5 MB.
    import icalendar  # noqa: PLC0415 - as above
    import recurring_ical_events  # noqa: PLC0415 - as above

    calendar = icalendar.Calendar.from_ical(path.read_bytes())
    events = recurring_ical_events.of(calendar).between(period.start, period.end)
    shifts = [
        Shift(str(event["SUMMARY"]).strip(), Period(*(_moment(event[name].dt, zone) for name in ("DTSTART", "DTEND"))))
        for event in events
    ]
    return tuple(sorted(shifts, key=lambda shift: (shift.period.start, shift.responder)))


def _moment(written: date, zone: ZoneInfo) -> datetime:
    moment = written if isinstance(written, datetime) else datetime.combine(written, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def write_calendar(party: str, shifts: Iterable[Shift], now: datetime) -> bytes:
    """Writes shifts as events with the references of responders; names and addresses stay in the roster."""
    import icalendar  # noqa: PLC0415 - as in `read_shifts`

    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Simpul//roster//EN")
    calendar.add("version", "2.0")
    for shift in shifts:
        event = icalendar.Event()
        event.add("uid", str(uuid5(NAMESPACE_URL, f"{party}/{shift.responder}/{shift.period.start.isoformat()}")))
        event.add("summary", shift.responder)
        event.add("dtstamp", now)
        event.add("dtstart", shift.period.start)
        event.add("dtend", shift.period.end)
        calendar.add_component(event)
    return bytes(calendar.to_ical())

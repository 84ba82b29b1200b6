"""The roster of a city: read, watched, drawn from calendars, and filled in as a table."""

from simpul_notify.roster.numbers import normalize_mobile_number
from simpul_notify.roster.reading import RosterFile, read_escalation_levels, read_roster
from simpul_notify.roster.watched import POLL_INTERVAL, WatchedRoster

__all__ = [
    "POLL_INTERVAL",
    "RosterFile",
    "WatchedRoster",
    "normalize_mobile_number",
    "read_escalation_levels",
    "read_roster",
]

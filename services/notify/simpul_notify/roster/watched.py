"""Reads the roster again when its file changes, and looks for gaps that arise with time."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from simpul_city import City
from simpul_notify.domain.duty import HORIZON, Period, RosterPlan
from simpul_notify.domain.responders import Roster
from simpul_notify.domain.roster_changes import RosterChange, find_new_gaps, merge_changes
from simpul_notify.roster.reading import RosterFile, describe_gap, refuse
from simpul_runtime.database import utc_now

POLL_INTERVAL: Final = timedelta(seconds=10)
"""Time between two checks for a change."""
REDRAW_INTERVAL: Final = timedelta(seconds=30)
"""How late a change of shift may be noticed."""
CALENDARS: Final = "calendars/*.ics"
"""Where the calendars of the roster are, in the city's folder."""

log = structlog.get_logger()


class WatchedRoster:
    """The roster of a city's folder, read again when it changes; a refused change leaves the last one in use."""

    def __init__(self, path: Path, city: City, levels: Collection[str], now: Callable[[], datetime] = utc_now) -> None:
        """Reads the roster; raises RosterInvalid when it cannot be used at all.

        A party without a responder does not stop the start: alerts of the others matter more than a complete roster.
        """
        self._path, self._city, self._levels, self._now = path, city, levels, now
        self._stamp = self._read_stamp()
        self._read_on = now().date()
        file = RosterFile.read(path, city, levels, now())
        if file.faults:
            raise refuse(path, [*file.gaps, *file.faults])
        self._gaps = file.gaps
        self._changes: Sequence[RosterChange] = ()
        self._use(file.plan)

    @property
    def current(self) -> Roster:
        """Who is on duty now."""
        now = self._now()
        if self.plan.changes_with_time and now - self._drawn_at >= REDRAW_INTERVAL:
            self._use(self.file_plan)
        return self._roster

    def use_changes(self, changes: Sequence[RosterChange]) -> None:
        """Uses what leads entered at the desk together with the file."""
        if changes != self._changes:
            self._changes = tuple(changes)
            self._use(self.file_plan)

    def _use(self, file_plan: RosterPlan) -> None:
        self.file_plan, self._drawn_at = file_plan, self._now()
        self.plan = merge_changes(file_plan, self._changes)
        self._roster = self.plan.roster_at(self._drawn_at)

    def find_warnings(self) -> list[str]:
        """Finds who is missing: in the file, in a change of it that was refused, or by what leads entered."""
        return [f"roster: {gap}" for gap in (*self._gaps, *self._find_gaps_by_changes())]

    def _find_gaps_by_changes(self) -> list[str]:
        """Finds gaps that arose because the file changed below an absence that had left somebody on duty."""
        now, zone = self._now(), self._city.zone
        period = Period(now, now + HORIZON)
        return [
            f"{party}: nobody on duty{describe_gap(gap, period, zone)}"
            for party in sorted({change.party for change in self._changes} & self.file_plan.duties.keys())
            for gap in find_new_gaps(
                self.file_plan.duties[party],
                (),
                [one for one in self._changes if one.party == party],
                period,
                now,
                zone,
            )
        ]

    async def find_start_problems(self) -> list[str]:
        """Finds the same before another process is replaced, so that a gap changes nothing that runs."""
        return self.find_warnings()

    async def watch(self) -> None:
        """Reads the roster again when its files have changed and once a day, until cancelled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL.total_seconds())
            await asyncio.to_thread(self.read_again)

    def read_again(self) -> None:
        """Reads a changed roster, or looks for gaps that came near since yesterday.

        A change with gaps is refused, logged once, and named among the warnings. What time alone brings is used,
        because the last roster has the same gap.
        """
        try:
            stamp, today = self._read_stamp(), self._now().date()
            is_changed = stamp != self._stamp
            if not is_changed and today == self._read_on:
                return
            self._stamp, self._read_on = stamp, today
            file = RosterFile.read(self._path, self._city, self._levels, self._now())
        except Exception as error:
            # A file that is being written must not end the alerts.
            self._gaps = [f"the file cannot be read: {type(error).__name__}"]
            log.error("roster_refused", error=type(error).__name__)
            return
        self._gaps = [*file.gaps, *file.faults]
        if self._gaps and is_changed:
            log.error("roster_refused", count=len(self._gaps))
        elif self._gaps:
            log.error("roster_gap", count=len(self._gaps))
        if not self._gaps or (not is_changed and not file.faults):
            self._use(file.plan)
            log.info("roster_loaded", count=len(self._roster.responders))

    def _read_stamp(self) -> list[tuple[int, int, int]]:
        """Reads when the roster and its calendars changed."""
        found = [path.stat() for path in (self._path, *sorted(self._path.parent.glob(CALENDARS)))]
        return [(file.st_mtime_ns, file.st_size, file.st_ino) for file in found]

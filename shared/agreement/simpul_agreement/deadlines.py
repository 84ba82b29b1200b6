"""How much time a deadline gives, and when it ends by the office hours and holidays of the city."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Calendar:
    """The office hours of a week and the holidays, by which deadlines are counted."""

    office: tuple[tuple[tuple[time, time], ...], ...]
    """For each weekday from Monday the office hours, as start and end, the earliest first; an end of 00:00 is
    midnight."""
    holidays: frozenset[date]

    def is_holiday(self, day: date) -> bool:
        """Whether it is a holiday."""
        return day in self.holidays

    def office_hours_from(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The office hours from a moment on, as start and end; without end unless there are none in a week."""
        day = moment.date()
        while any(self.office):
            for start, end in self.office[day.weekday()] if day not in self.holidays else ():
                closes = datetime.combine(day, end, moment.tzinfo) + timedelta(days=end == time.min)
                if closes > moment:
                    yield max(datetime.combine(day, start, moment.tzinfo), moment), closes
            day += timedelta(days=1)

    def next_opening(self, moment: datetime) -> datetime:
        """The moment itself while offices are open, else the next opening; the moment where they never open."""
        return next((opens for opens, _ in self.office_hours_from(moment)), moment)

    def after_working_days(self, moment: datetime, days: int) -> datetime:
        """The same time of the day after so many days without weekends and holidays."""
        for _ in range(days):
            moment += timedelta(days=1)
            while moment.weekday() >= 5 or self.is_holiday(moment.date()):
                moment += timedelta(days=1)
        return moment

    def after_office_time(self, moment: datetime, time: timedelta) -> datetime:
        """The moment at which offices have been open for so long; the moment itself where they never open."""
        for opens, closes in self.office_hours_from(moment) if time else ():
            if time <= closes - opens:
                return opens + time
            time -= closes - opens
        return moment


@dataclass(frozen=True, slots=True)
class Within:
    """The time that an agency has, as calendar time, as working days or as office hours."""

    time: timedelta = timedelta()
    working_days: int = 0
    office_hours: int = 0

    @property
    def counts_working_time(self) -> bool:
        """Whether the time does not pass while offices are closed, or on days off."""
        return bool(self.working_days or self.office_hours)

    def due(self, start: datetime, zone: ZoneInfo, calendar: Calendar) -> datetime:
        """The moment it ends.

        Calendar time is never paused, working days leave out weekends and holidays, and office hours count only while
        offices are open.
        """
        moment = calendar.after_working_days(start.astimezone(zone), self.working_days)
        moment = calendar.after_office_time(moment, timedelta(hours=self.office_hours))
        return (moment + self.time).astimezone(start.tzinfo)

    def half(self, start: datetime, zone: ZoneInfo, calendar: Calendar) -> datetime:
        """The moment at which half of the time has passed, counted like the time itself.

        Half of a working day is twelve hours. A half that ends while offices are closed ends when they open, unless the
        whole time has passed by then.
        """
        if not self.counts_working_time:
            return start + (self.due(start, zone, calendar) - start) / 2
        days, is_odd = divmod(self.working_days, 2)
        moment = calendar.after_working_days(start.astimezone(zone), days) + timedelta(hours=12) * is_odd
        moment = calendar.after_office_time(moment, timedelta(hours=self.office_hours) / 2) + self.time / 2
        opening = calendar.next_opening(moment)
        return (opening if opening < self.due(start, zone, calendar) else moment).astimezone(start.tzinfo)

    def twice(self, start: datetime, zone: ZoneInfo, calendar: Calendar) -> datetime:
        """The moment at which twice the time has passed; working time ends while offices are open."""
        doubled = Within(self.time * 2, self.working_days * 2, self.office_hours * 2).due(start, zone, calendar)
        if not self.counts_working_time:
            return doubled
        return calendar.next_opening(doubled.astimezone(zone)).astimezone(start.tzinfo)

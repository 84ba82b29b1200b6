"""Times as people say them, in the language and zone of the reader."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from gettext import NullTranslations
from zoneinfo import ZoneInfo

from babel.dates import format_date

from simpul_schema.translations import load_translations

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@lru_cache(maxsize=4_000)
def name_day(day: date, language: str) -> str:
    """Writes a day such as `Jumat, 27 November 2026`; kept, because a list repeats few days many times."""
    return format_date(day, "EEEE, d MMMM y", locale=language)


@dataclass(frozen=True)
class Wording:
    """The reader's language, the city's zone, and the moment at which the page is read."""

    language: str
    zone: ZoneInfo
    now: datetime

    @property
    def _texts(self) -> NullTranslations:
        return load_translations("simpul_desk")[self.language]

    def moment(self, moment: datetime) -> str:
        """A moment such as `Jumat, 27 November 2026 pukul 21.00 WIB`, or `hari ini pukul 21.00 WIB`."""
        local, today = moment.astimezone(self.zone), self.now.astimezone(self.zone).date()
        days = {
            today: self._texts.gettext("today"),
            today + _DAY: self._texts.gettext("tomorrow"),
            today - _DAY: self._texts.gettext("yesterday"),
        }
        day = days.get(local.date()) or name_day(local.date(), self.language)
        return self._texts.gettext("{day} at {time}").format(day=day, time=f"{local:%H.%M %Z}")

    def exact_moment(self, moment: datetime) -> str:
        """A moment as it stands on paper, such as `Jumat, 27 November 2026 pukul 21.00 WIB`."""
        local = moment.astimezone(self.zone)
        day = name_day(local.date(), self.language)
        return self._texts.gettext("{day} at {time}").format(day=day, time=f"{local:%H.%M %Z}")

    def day(self, moment: datetime) -> str:
        """A day as an official writes it, such as `27 November 2026`."""
        return format_date(moment.astimezone(self.zone).date(), "d MMMM y", locale=self.language)

    def calendar_day(self, day: date) -> str:
        """A day of the calendar, such as `27 November 2026`."""
        return format_date(day, "d MMMM y", locale=self.language)

    def time_left(self, due_at: datetime) -> str:
        """How much time is left until a deadline, or for how long it has passed."""
        left = due_at - self.now
        text = self._texts.gettext("{time} left") if left >= timedelta(0) else self._texts.gettext("{time} late")
        return text.format(time=self.duration(abs(left)))

    def duration(self, duration: timedelta) -> str:
        """A duration by its two largest units, rounded down, such as `2 jam 5 menit`."""
        days, rest = divmod(duration, _DAY)
        hours, rest = divmod(rest, _HOUR)
        minutes = rest // _MINUTE
        parts = [
            (days, self._texts.gettext("{count} d")),
            (hours, self._texts.gettext("{count} h")),
            (minutes, self._texts.gettext("{count} min")),
        ]
        found = [(count, text) for count, text in parts if count]
        largest = found[:2] if found else [(0, parts[-1][1])]
        return " ".join(text.format(count=count) for count, text in largest)

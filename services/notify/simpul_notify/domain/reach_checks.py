"""The weekly message by which people prove that they can be reached: when it leaves and what it says."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from simpul_notify.domain.links import LINK_LANGUAGES
from simpul_notify.domain.notifications import LINK_PATH, AlertText
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.domain.safe_hours import SafeHours
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import AlertChannel

CONFIRM_WITHIN: Final = timedelta(days=2)
"""Who has not confirmed by then counts as not reached."""
SEND_WITHIN: Final = timedelta(days=1)
"""A message that could not leave by then is left to the next week, because nobody is to be woken by a backlog."""
SEND_HOURS: Final = SafeHours(time(8), time(18))
"""The hours of a message to somebody who has named no safe hours, because a gateway that works again at night must
wake nobody with a test."""
WEEK: Final = timedelta(days=7)
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WRITTEN: Final = re.compile(rf"({'|'.join(_DAYS)}) (\d\d)[.:](\d\d)")
_SMS: Final = gettext_noop("Simpul: weekly test, there is no case. Please confirm that you have read it: {link}")
_SUBJECT: Final = gettext_noop("Simpul: weekly test, there is no case")
_BODY: Final = (
    gettext_noop("This message only tests whether you can be reached. There is no case, and nothing to answer."),
    gettext_noop("Please confirm that you have read it: {link}"),
)
_TRANSLATIONS: Final = load_translations("simpul_notify", languages=LINK_LANGUAGES)


@dataclass(frozen=True, slots=True)
class WeeklyTime:
    """When the weekly message leaves, in local time."""

    weekday: int
    """0 is Monday."""
    at: time

    @classmethod
    def read(cls, written: str) -> "WeeklyTime":
        """Reads `mon 09.00`; raises ValueError."""
        found = _WRITTEN.fullmatch(written.strip().lower())
        if not found:
            msg = f"not written as mon 09.00: {written}"
            raise ValueError(msg)
        return cls(_DAYS.index(found[1]), time(int(found[2]), int(found[3])))

    def last_before(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Returns the latest of these times that has passed."""
        local = now.astimezone(zone)
        day = local.date() - timedelta(days=(local.weekday() - self.weekday) % 7)
        latest = datetime.combine(day, self.at, zone)
        return latest if latest <= local else datetime.combine(day - WEEK, self.at, zone)


def check_text(channel: AlertChannel, language: str, public_url: str, link_token: str) -> AlertText:
    """Returns the weekly message; its first words say that there is no case."""
    link = f"{public_url.rstrip('/')}{LINK_PATH}/{link_token}"
    gettext = _TRANSLATIONS[language if language in LINK_LANGUAGES else LINK_LANGUAGES[0]].gettext
    if channel is AlertChannel.SMS:
        return AlertText("", gettext(_SMS).format(link=link))
    return AlertText(gettext(_SUBJECT), "\n\n".join(gettext(part).format(link=link) for part in _BODY))


def find_recipients(roster: Roster, channels: Collection[AlertChannel]) -> Iterator[Recipient]:
    """Yields every verified number and address of everybody who is not away."""
    for responder in roster.responders.values():
        if responder.reference not in roster.away:
            yield from (recipient for recipient in responder.addresses if recipient.channel in channels)

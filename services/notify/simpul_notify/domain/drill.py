"""An emergency that is only played: its messages, and who was reached in which minute."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import DeliveryState, Problem
from simpul_notify.domain.escalation import Delivery, TriedMethod
from simpul_notify.domain.links import ALPHABET, LINK_LANGUAGES, TOKEN_LENGTH
from simpul_notify.domain.notifications import LINK_PATH, AlertText
from simpul_notify.domain.responders import Recipient
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import AlertChannel

_SMS: Final = gettext_noop("Simpul: DRILL for {party}, there is no case. Please confirm as usual: {link}")
_SUBJECT: Final = gettext_noop("Simpul: DRILL, there is no case")
_BODY: Final = (
    gettext_noop("This is a drill for {party}. There is no case, and nothing to answer in an application."),
    gettext_noop("Please confirm as usual, so that it is seen in how many minutes you can be reached: {link}"),
)
_TRANSLATIONS: Final = load_translations("simpul_notify", languages=LINK_LANGUAGES)


def drill_text(channel: AlertChannel, language: str, party: str, public_url: str, link_token: str = "") -> AlertText:
    """Returns the message of a drill; its first words say that it is one."""
    values = {
        "party": party,
        "link": f"{public_url.rstrip('/')}{LINK_PATH}/{link_token or ALPHABET[-1] * TOKEN_LENGTH}",
    }
    gettext = _TRANSLATIONS[language if language in LINK_LANGUAGES else LINK_LANGUAGES[0]].gettext
    if channel is AlertChannel.SMS:
        return AlertText("", gettext(_SMS).format(**values))
    return AlertText(gettext(_SUBJECT), "\n\n".join(gettext(part).format(**values) for part in _BODY))


@dataclass
class DrillMessage:
    """A message of a drill to one person by one channel."""

    notification_id: UUID
    recipient: Recipient
    party: str
    """The party on whose behalf the person was alerted."""
    sent_at: datetime
    provider: str = ""
    problem: Problem = Problem.NONE
    """Why no provider took it."""
    delivery: DeliveryState = DeliveryState.QUEUED
    delivered_at: datetime | None = None
    """When the phone confirmed it."""
    answer: Answer | None = None
    answered_at: datetime | None = None

    def as_tried(self) -> TriedMethod:
        """Returns it as escalation policies judge it."""
        return TriedMethod(
            self.recipient,
            self.sent_at,
            self._as_delivery(),
            calls_others=self.answer is not None and not self.answer.stops_others,
        )

    def _as_delivery(self) -> Delivery:
        if self.problem is not Problem.NONE or self.delivery.has_failed:
            return Delivery.FAILED
        if self.delivery.has_arrived:
            return Delivery.ON_HANDSET
        return Delivery.ACCEPTED if self.delivery >= DeliveryState.ACCEPTED else Delivery.WAITING


class DrillState(StrEnum):
    """How a drill ended for a party."""

    RUNNING = "running"
    CONFIRMED = "confirmed"
    """Somebody has confirmed to be on it."""
    EXHAUSTED = "exhausted"
    """Everybody was alerted, and nobody confirmed in time."""
    TIMED_OUT = "timed_out"
    """Nobody had confirmed when the drill ended."""
    NOBODY = "nobody"
    """The roster has nobody for this party."""


@dataclass
class PartyDrill:
    """What a drill found for one party."""

    party: str
    began_at: datetime
    state: DrillState = DrillState.RUNNING
    messages: list[DrillMessage] = field(default_factory=list)

    @property
    def confirmed_at(self) -> datetime | None:
        """When the first person confirmed to be on it."""
        moments = [one.answered_at for one in self.messages if one.answer is Answer.ON_IT and one.answered_at]
        return min(moments, default=None)

    def end_at_limit(self) -> None:
        """Ends it because the time is up."""
        if self.state is DrillState.RUNNING:
            self.state = DrillState.TIMED_OUT

    def minute_of(self, moment: datetime) -> int:
        """Returns the minute of the drill in which something happened; the first is 1."""
        return max(int((moment - self.began_at).total_seconds() // 60), 0) + 1


def has_reached_all(drills: Sequence[PartyDrill]) -> bool:
    """Whether somebody of every party confirmed."""
    return all(drill.state is DrillState.CONFIRMED for drill in drills)

"""What a handler gets: the event, and a way to answer it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Optional, TypeVar
from uuid import uuid4, uuid5

from simpul_agency.drafting import Voice
from simpul_agency.records import Draft
from simpul_schema import Event
from simpul_schema.messages import (
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
    ReplyWithdrawalAcknowledgedV1,
)
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import subject_of_referral
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Received(Generic[E]):
    """A verified event, with its opened facts where it carries some."""

    event: E
    facts: Optional[ReferralFacts] = field(default=None, repr=False)
    suggested_exclusions: tuple[str, ...] = field(default=(), repr=False)
    """Of `referral.exclusion_suggested.v1`: the codes of the agencies that wait for a decision."""

    @property
    def data(self) -> Any:
        """What the event says."""
        return self.event.data  # type: ignore[attr-defined]  # every message class has data

    @property
    def code(self) -> str:
        """The short code people use, such as `R-7K3Q2M`."""
        return referral_code(self.data.referral_id)


class Reply:
    """Answers one referral. What is said is kept with the end of the handler, and sent until the broker has it.

    Saying the same twice counts once; what a handler said before it failed was never said.
    """

    def __init__(self, about: Event, voice: Voice, *, now: datetime, once: str = "") -> None:
        """With `once`, a name of the caller's, what is said under the same name again is not said again."""
        self._once = once
        self._about = about
        self._voice = voice
        self._now = now
        self._drafts: list[Draft] = []
        self._said: list[tuple[type[Event], dict[str, object]]] = []

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """What was said so far."""
        return tuple(self._drafts)

    def delivered(self) -> None:
        """The agency's machine has it; the kit says so by itself when it has stored the offer."""
        self._say(ReplyReferralDeliveredV1)

    def seen(self) -> None:
        """A person opened it for the first time."""
        self._say(ReplyReferralSeenV1)

    def accept(self) -> None:
        """The agency takes the referral."""
        self._say(ReplyReferralAcceptedV1)

    def decline(self, reason: DeclineReason) -> None:
        """The agency cannot serve; the city hands the referral over at once."""
        self._say(ReplyReferralDeclinedV1, reason=reason)

    def schedule(self, moment: datetime) -> None:
        """The child has an appointment at that moment, which carries its zone."""
        self._say(ReplyReferralScheduledV1, scheduled_for=moment)

    def unattended(self) -> None:
        """The child did not come to the appointment."""
        self._say(ReplyReferralUnattendedV1)

    def start(self) -> None:
        """The service has begun; first aid counts."""
        self._say(ReplyReferralStartedV1)

    def complete(self, outcome: ReferralOutcome) -> None:
        """The service has ended."""
        self._say(ReplyReferralCompletedV1, outcome=outcome)

    def acknowledge_withdrawal(self) -> None:
        """The agency has stopped processing after a consent was withdrawn."""
        self._say(ReplyWithdrawalAcknowledgedV1)

    def _say(self, message: type[Event], **more: object) -> None:
        about, data = self._about, self._about.data  # type: ignore[attr-defined]  # every message class has data
        if (message, more) in self._said:
            return
        self._said.append((message, more))
        self._drafts.append(
            self._voice.draft(
                message,
                {"referral_id": data.referral_id, "agency": data.agency, **more},
                # A refusal of a reply has a stream of its own; what is said about it belongs to the referral.
                subject=subject_of_referral(data.referral_id),
                case_id=about.correlationid,
                cause=about.id,
                now=self._now,
                event_id=uuid5(about.id, f"{self._once} {len(self._drafts)}") if self._once else uuid4(),
            )
        )

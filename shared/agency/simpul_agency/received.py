"""What a handler gets: the referral, and a way to answer it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid5

from simpul_schema import Event, agency_source
from simpul_schema.envelope import wire_json
from simpul_schema.messages import (
    ReferralOfferedV1,
    ReplyReferralAcceptedV1,
    ReplyReferralCompletedV1,
    ReplyReferralDeclinedV1,
    ReplyReferralDeliveredV1,
    ReplyReferralScheduledV1,
    ReplyReferralSeenV1,
    ReplyReferralStartedV1,
    ReplyReferralUnattendedV1,
)
from simpul_schema.messages.referral import ReferralFacts, ReferralOfferedData
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome


@dataclass(frozen=True, slots=True)
class ReceivedReferral:
    """A verified referral with its opened facts."""

    event: ReferralOfferedV1
    facts: ReferralFacts = field(repr=False)

    @property
    def offer(self) -> ReferralOfferedData:
        """What is asked, of whom, until when."""
        return self.event.data

    @property
    def code(self) -> str:
        """The short code people use, such as `R-7K3Q2M`."""
        return referral_code(self.offer.referral_id)


Publish = Callable[[str, dict[str, object]], Awaitable[None]]


class Reply:
    """Answers one referral. The same answer made twice has the same id, so it counts once."""

    def __init__(self, offered: ReferralOfferedV1, city: str, publish: Publish) -> None:
        self._offered = offered
        self._source = agency_source(city, offered.data.agency)
        self._publish = publish
        # The offer's own time: a reply made again after a crash then has the same bytes, and is no new event.
        self._time = offered.time
        self._position = 0

    async def delivered(self) -> None:
        """The agency's machine has it; the kit says so by itself before it calls the handler."""
        await self._say(ReplyReferralDeliveredV1)

    async def seen(self) -> None:
        """A person opened it for the first time."""
        await self._say(ReplyReferralSeenV1)

    async def accept(self) -> None:
        """The agency takes the referral."""
        await self._say(ReplyReferralAcceptedV1)

    async def decline(self, reason: DeclineReason) -> None:
        """The agency cannot serve; the city hands the referral over at once."""
        await self._say(ReplyReferralDeclinedV1, reason=reason)

    async def schedule(self, moment: datetime) -> None:
        """The child has an appointment at that moment, which carries its zone."""
        await self._say(ReplyReferralScheduledV1, scheduled_for=moment)

    async def unattended(self) -> None:
        """The child did not come to the appointment."""
        await self._say(ReplyReferralUnattendedV1)

    async def start(self) -> None:
        """The service has begun; first aid counts."""
        await self._say(ReplyReferralStartedV1)

    async def complete(self, outcome: ReferralOutcome) -> None:
        """The service has ended."""
        await self._say(ReplyReferralCompletedV1, outcome=outcome)

    async def _say(self, message: type[Event], **more: object) -> None:
        self._position += 1
        offered = self._offered
        event = message.model_validate(
            {
                "id": uuid5(offered.id, message.WIRE_NAME),
                "source": self._source,
                "type": message.WIRE_NAME,
                "subject": offered.subject,
                "time": self._time,
                "sequence": f"{self._position:010d}",
                "correlationid": offered.correlationid,
                "causationid": offered.id,
                "data": {"referral_id": offered.data.referral_id, "agency": offered.data.agency, **more},
            }
        )
        await self._publish(message.WIRE_NAME, wire_json(event))

"""An agency's consumer on FastStream."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any, Optional
from uuid import UUID, uuid4

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from pydantic import ValidationError

from simpul_agency.received import ReceivedReferral, Reply
from simpul_agency.settings import AgencySettings
from simpul_schema import Producer
from simpul_schema.catalog import REPLIES, may_publish, routing_key
from simpul_schema.envelope import CONTENT_TYPE, MAX_EVENT_BYTES
from simpul_schema.messages import ReferralOfferedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_seal import Directory, KeyRing, SealError, open_section, sign, verify

Handler = Callable[[ReceivedReferral, Reply], Awaitable[None]]

CONFIRM_WITHIN = 10.0
LONGEST_WAIT = 60.0
REMEMBERED = 10_000

log = structlog.get_logger()


class NotAReferral(Exception):
    """The message is not a referral the city offered to this agency; the message says in what it fails."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Agency:
    """Receives the referrals of one agency."""

    def __init__(self, settings: AgencySettings, keys: KeyRing, directory: Directory) -> None:
        self.code = settings.code
        self._settings = settings
        self._keys = keys
        self._directory = directory
        self._handler: Optional[Handler] = None
        self._seen: OrderedDict[UUID, None] = OrderedDict()
        self._replies = RabbitExchange(REPLIES, type=ExchangeType.TOPIC, declare=False)
        self.broker = RabbitBroker(
            settings.amqp_url.get_secret_value(),
            # Replies must find a queue; without this an unroutable one would look published.
            default_channel=Channel(on_return_raises=True),
            ack_policy=AckPolicy.REJECT_ON_ERROR,
            apply_types=False,
            logger=None,
        )
        self.broker.subscriber(
            RabbitQueue(f"agency.{self.code}.inbox", declare=False),
            channel=Channel(prefetch_count=settings.prefetch),
            decoder=_undecoded,
            no_reply=True,
        )(self._receive)

    @classmethod
    def from_settings(cls, settings: Optional[AgencySettings] = None) -> "Agency":
        """The agency described by the environment."""
        found = settings or AgencySettings()  # the environment has the rest
        return cls(found, KeyRing.read(found.key_file), Directory.read(found.directory_file))

    def on_referral(self, handler: Handler) -> Handler:
        """Register what happens to a referral."""
        self._handler = handler
        return handler

    def run(self) -> None:
        """Receive until told to stop."""
        asyncio.run(FastStream(self.broker).run())

    async def _receive(self, message: RabbitMessage) -> None:
        """Returning acknowledges; raising rejects into the city's dead-letter queue."""
        try:
            referral = self._read(message.raw_message.body, _utc_now())
        except (NotAReferral, SealError) as error:
            log.error("message_rejected", agency=self.code, reason=type(error).__name__)
            raise
        if referral is None or referral.event.id in self._seen:
            return
        reply = Reply(referral.event, self._settings.city, self._publish)
        wait = 0.5
        while True:
            try:
                await reply.delivered()
                if self._handler is not None:
                    await self._handler(referral, reply)
                break
            except Exception as error:
                log.warning("handler_failed", agency=self.code, error=type(error).__name__)
                reply = Reply(referral.event, self._settings.city, self._publish)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
        self._remember(referral.event.id)

    def _read(self, body: bytes, now: datetime) -> Optional[ReceivedReferral]:
        """The referral, or None for an event of another type."""
        event = self._verified(body, now)
        if event["type"] != ReferralOfferedV1.WIRE_NAME:
            return None
        try:
            offered = ReferralOfferedV1.model_validate(event)
            sealed = offered.data.sealed["facts"]
            opened = open_section(
                sealed.ciphertext, self._keys, event_id=offered.id, case_id=offered.data.case_id, section="facts"
            )
            return ReceivedReferral(offered, ReferralFacts.model_validate_json(opened))
        except (ValidationError, KeyError) as error:
            msg = "the event does not match the contract"
            raise NotAReferral(msg) from error

    def _verified(self, body: bytes, now: datetime) -> dict[str, Any]:
        try:
            event = json.loads(body) if len(body) <= MAX_EVENT_BYTES else None
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            msg = "the message is not an event of the contract"
            raise NotAReferral(msg)
        signer = verify(event, self._directory, now)
        try:
            producer = Producer.of(str(event.get("source")))
        except ValueError as error:
            raise NotAReferral(str(error)) from error
        allowed = may_publish(producer.party, is_agency=producer.is_agency, wire_name=event["type"])
        if signer != producer.party or not allowed:
            msg = "the event does not come from the authority on it"
            raise NotAReferral(msg)
        return event

    async def _publish(self, wire_name: str, event: dict[str, object]) -> None:
        publishing = self.broker.publish(
            sign(event, self._keys),
            exchange=self._replies,
            routing_key=routing_key(REPLIES, wire_name, self.code),
            message_id=str(uuid4()),
            correlation_id=str(event["correlationid"]),
            content_type=CONTENT_TYPE,
            headers={"simpul-exchange": REPLIES},
            persist=True,
        )
        # The broker's own timeout is not honoured; this one is.
        await asyncio.wait_for(publishing, CONFIRM_WITHIN)

    def _remember(self, event_id: UUID) -> None:
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


async def _undecoded(message: Any) -> Any:
    return message

"""An agency's consumer on FastStream: store first, handle after, say until it is heard, ask for what is missing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timezone
from typing import Any, Optional, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from simpul_agency.amqp_properties import read_deliveries_with_faulty_properties
from simpul_agency.drafting import Voice
from simpul_agency.drivers import driver_for
from simpul_agency.following import Followed, follow
from simpul_agency.grouping import Groups
from simpul_agency.handling import Handler, Handling
from simpul_agency.health import HEARD_WITHIN, Health
from simpul_agency.reading import NotReadable, Reader
from simpul_agency.received import Received, Reply
from simpul_agency.records import Account, Arrived, Draft, Message, SignedBody, Unreadable
from simpul_agency.saying import Saying
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Store
from simpul_agency.watching import Watching, Window
from simpul_schema import Event
from simpul_schema.fhir import as_bundle
from simpul_schema.messages import (
    ReferralHeartbeatV1,
    ReferralOfferedV1,
    ReferralReplyRefusedV1,
    ReplyMessageParkedV1,
    ReplyWindowRequestedV1,
)
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import subject_of_agency, subject_of_referral
from simpul_seal import Directory, KeyRing, WatchedDirectory, sign, signature_in
from simpul_seal.embedded import sign_again

E = TypeVar("E", bound=Event)

log = structlog.get_logger()


class ReferralUnknown(Exception):
    """This agency's store has no offer of that referral; check the id and the store's URL."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Agency:
    """Receives what the city addresses to one agency."""

    def __init__(self, settings: AgencySettings, keys: KeyRing, directory: Directory) -> None:
        read_deliveries_with_faulty_properties()
        self.code = settings.code
        self.store = Store(driver_for(settings.store_url))
        self._keys = keys
        self._voice = Voice(settings.source, self.sign)
        self._reader = Reader(settings.code, keys, directory)
        self._arriving: Groups[Message] = Groups(self._take, self._not_stored)
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: list[Callable[[], AbstractAsyncContextManager[None]]] = []
        self._open_beside = AsyncExitStack()
        self.broker = RabbitBroker(
            settings.broker_url,
            # Replies must find a queue; without this an unroutable one would look published.
            default_channel=Channel(on_return_raises=True),
            # What could not even be stored goes back to the queue's dead letters; it never just vanishes.
            ack_policy=AckPolicy.REJECT_ON_ERROR,
            apply_types=False,
            fail_fast=False,
            logger=None,
        )
        self.broker.subscriber(
            RabbitQueue(settings.queue_name, declare=False),
            channel=Channel(prefetch_count=settings.prefetch),
            decoder=_undecoded,
            no_reply=True,
        )(self._receive)
        self._saying = Saying(
            self.store, self.broker, agency=self.code, user=settings.user,
            sign_again=lambda body: SignedBody(*sign_again(body, keys)),
        )  # fmt: skip
        self._handling = Handling(
            self.store, agency=self.code, concurrency=settings.concurrency, open_again=self._open_again,
            reply_to=lambda received: self._reply(received.event), say=self._saying.say,
        )  # fmt: skip
        self.health = Health(self.store, self._is_connected, port=settings.health_port)
        if settings.health_port:
            self.beside(self.health.serve)
        self._watching = Watching(self.store, self._ask, agency=self.code, patience=settings.ask_after)

    @classmethod
    def from_settings(cls, settings: Optional[AgencySettings] = None) -> "Agency":
        """The agency described by the environment."""
        found = settings or AgencySettings()  # the environment has the rest
        return cls(found, KeyRing.read(found.key_file), WatchedDirectory(found.directory_file))

    def on(self, message: type[E]) -> Callable[[Callable[[Received[E], Reply], Awaitable[None]]], Handler]:
        """Register what happens with events of a type: once each, in the order of their referral.

        A handler that raises is called again after a growing wait; meanwhile the other referrals go on.
        """

        def register(handler: Callable[[Received[E], Reply], Awaitable[None]]) -> Handler:
            self._handling.handlers[message.WIRE_NAME] = handler
            return handler

        return register

    @asynccontextmanager
    async def reply(self, referral_id: UUID, *, once: str = "") -> AsyncIterator[Reply]:
        """Answer a referral outside a handler, days later too; kept when the block ends without an error.

        With `once`, a name of the caller's, what was said under that name before is not said again.

        Raises ReferralUnknown when it was never offered to this agency.
        """
        body = await self.store.first_of(subject_of_referral(referral_id))
        if body is None:
            raise ReferralUnknown(self._unknown(referral_id))
        reply = Reply(ReferralOfferedV1.model_validate_json(body), self._voice, now=_utc_now(), once=once)
        yield reply
        self._saying.say(await self.store.say(reply.drafts))

    async def referrals(self, most: int, referral_id: Optional[UUID] = None) -> list[Followed]:
        """Where the newest referrals stand; or one of them."""
        streams = await self.store.streams(most, subject_of_referral(referral_id) if referral_id else "")
        refused = await self.store.of_type(ReferralReplyRefusedV1.WIRE_NAME, most)
        refusals = [ReferralReplyRefusedV1.model_validate_json(body) for body in refused]
        return [follow(stream, refusals) for stream in streams]

    def facts_of(self, body: bytes) -> Optional[ReferralFacts]:
        """The opened facts of a stored event."""
        return self._open_again(body).facts

    async def fhir(self, referral_id: UUID) -> dict[str, Any]:
        """A referral as a FHIR R4 bundle with BSeR's status codes; ReferralUnknown when it was never offered."""
        found = await self.referrals(1, referral_id)
        if not found:
            raise ReferralUnknown(self._unknown(referral_id))
        [one] = found
        facts = self.facts_of(one.newest_facts)
        return as_bundle(one.offer, one.state, facts, _utc_now(), urgency=one.urgency, answer_by=one.answer_by)

    def _unknown(self, referral_id: UUID) -> str:
        return f"referral {referral_id} was not offered to {self.code}, or its offer is parked"

    def beside(self, work: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Something that is open from before the first event until after the last."""
        self._beside.append(work)

    async def replay(self, name: str) -> bool:
        """Read again what was set aside; False when there is nothing of that name."""
        parked = await self.store.set_aside(name)
        if parked is None:
            return False
        if parked.was_verified:
            message = self._read(parked.body, parked.signature, lambda: self._reader.stored(parked.body))
        else:
            message = self._verify(parked.body, parked.signature)
        await self._take([message], instead_of=name)
        return True

    def sign(self, body: bytes) -> str:
        """This agency's signature over bytes that it sends, for the header `simpul-signature`."""
        return sign(body, self._keys)

    async def start(self) -> None:
        """Receive, handle and reply until `stop`."""
        await self._begin()
        await self.broker.start()

    async def stop(self) -> None:
        """Take nothing more, let handlers end, keep what is unsaid for the next start."""
        await self.broker.stop()
        await self._end()

    def run(self) -> None:
        """The same until the process is told to end."""

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            await self._begin()
            try:
                yield
            finally:
                await self._end()

        asyncio.run(FastStream(self.broker, lifespan=lifespan).run())

    async def _begin(self) -> None:
        await self.store.open()
        for work in self._beside:
            await self._open_beside.enter_async_context(work())
        loops = (self._arriving.run, self._handling.run, self._saying.run, self._watching.run)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def _end(self) -> None:
        # The broker's client ends some tasks of its own in the next turn of the loop.
        await asyncio.sleep(0)
        await self._handling.drain()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._open_beside.aclose()
        await self._saying.note_heard()
        await self.store.close()

    async def _is_connected(self) -> bool:
        # ping only looks at a flag, so the consumer itself is asked too.
        is_heard = await self.broker.ping(timeout=HEARD_WITHIN)
        return is_heard and all(subscriber.running for subscriber in self.broker.subscribers)

    async def _receive(self, message: RabbitMessage) -> None:
        """Returning acknowledges, so it returns once the message is stored."""
        raw = message.raw_message
        await self._arriving.submit(self._verify(raw.body, signature_in(raw.headers or {})))

    def _verify(self, body: bytes, signature: str) -> Message:
        return self._read(body, signature, lambda: self._reader.verified(body, signature, _utc_now()))

    def _read(self, body: bytes, signature: str, read: Callable[[], Event]) -> Message:
        try:
            event = read()
        except NotReadable as error:
            log.error("message_parked", agency=self.code, reason=error.reason.value)
            source, event_id = (error.identity.source, error.identity.event_id) if error.identity else ("", "")
            return Unreadable(body, error.reason.value, source, event_id, signature)
        if isinstance(event, ReferralHeartbeatV1):
            return _account(event)
        known: dict[str, Any] = {
            "source": event.source, "event_id": str(event.id), "subject": event.subject,
            "sequence": event.position, "type": event.type, "body": body, "signature": signature,
        }  # fmt: skip
        try:
            received = self._reader.opened(event)
        except NotReadable as error:
            log.error("message_parked", agency=self.code, event_id=str(event.id), reason=error.reason.value)
            return Arrived(**known, parked=error.reason.value)
        self._handling.remember(received)
        if not isinstance(event, ReferralOfferedV1):
            return Arrived(**known)
        receipt = self._reply(event)
        receipt.delivered()
        return Arrived(**known, replies=receipt.drafts)

    def _report(self, reason: str, digest: str, event_id: Optional[str]) -> Draft:
        """Said once for the same message."""
        return self._say_as_agency(
            ReplyMessageParkedV1,
            {"reason": reason, "digest": digest, "event_id": event_id},
            event_id=uuid5(NAMESPACE_OID, f"{reason} {digest}"),
        )

    def _say_as_agency(self, message: type[Event], data: dict[str, Any], event_id: Optional[UUID] = None) -> Draft:
        """About no referral, in the agency's own stream."""
        return self._voice.draft(
            message,
            {"agency": self.code, **data},
            subject=subject_of_agency(self.code),
            case_id=uuid5(NAMESPACE_OID, self.code),
            now=_utc_now(),
            event_id=event_id,
        )

    def _open_again(self, body: bytes) -> Received[Any]:
        return self._reader.opened(self._reader.stored(body))

    def _reply(self, about: Event) -> Reply:
        return Reply(about, self._voice, now=_utc_now())

    async def _ask(self, windows: Sequence[Window]) -> None:
        """Say to the city what is missing."""
        drafts = [self._say_as_agency(ReplyWindowRequestedV1, dict(window)) for window in windows]
        self._saying.say(await self.store.say(drafts) if drafts else [])

    async def _take(self, messages: Sequence[Message], *, instead_of: str = "") -> None:
        ready, said = await self.store.take(messages, time.time(), self._report, instead_of=instead_of)
        # An event that is not the first of its referral may wait for another.
        some_wait = len(ready) < sum(isinstance(message, Arrived) for message in messages)
        self._handling.take(ready, some_wait=some_wait)
        if some_wait or any(isinstance(message, Account) for message in messages):
            self._watching.look_soon()
        self._saying.say(said)

    def _not_stored(self, error: Exception) -> None:
        # It may have been stored all the same, its answer lost.
        self._handling.look_again()
        self._saying.look_again()
        log.error("store_failed", agency=self.code, error=type(error).__name__)


def _account(heartbeat: ReferralHeartbeatV1) -> Account:
    """Its moments are the city's; how long it may be silent is counted from here, by our own clock."""
    data = heartbeat.data
    return Account(
        source=heartbeat.source,
        sequence=heartbeat.position,
        last_number=data.last_number,
        issued_at=heartbeat.time.timestamp(),
        allowance=(data.next_by - heartbeat.time).total_seconds(),
        events=tuple((one.number, str(one.event_id), one.is_withheld) for one in data.events),
    )


async def _undecoded(message: Any) -> Any:
    return message

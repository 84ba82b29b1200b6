"""An agency's consumer on FastStream: store first, handle after, say until it is heard."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timezone
from math import inf
from typing import Any, Final, Optional, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from simpul_agency.drivers import driver_for
from simpul_agency.grouping import Groups
from simpul_agency.reading import NotReadable, Reader
from simpul_agency.received import Received, Reply, subject_of
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Arrived, Due, Handled, Outgoing, Store, Unreadable
from simpul_schema import Event
from simpul_schema.catalog import REPLIES, routing_key
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.messages import ReferralOfferedV1
from simpul_seal import Directory, KeyRing, sign

E = TypeVar("E", bound=Event)
Handler = Callable[[Received[Any], Reply], Awaitable[None]]

CONFIRM_WITHIN: Final = 10.0
"""Seconds the broker has to confirm a reply."""
PATIENCE: Final = 60.0
"""Seconds an event waits for its predecessor before it is handled without."""
LOOK: Final = 1.0
"""Seconds between looks at what is due again."""
LONGEST_WAIT: Final = 600.0
"""Seconds between two calls of a handler that keeps failing."""
LEAVE_WITHIN: Final = 15.0
"""Seconds that handlers have to end when the agency stops."""
NOTE: Final = 0.5
"""Seconds until it is noted that the broker has heard a reply; forgotten in a crash, it is said again."""
MOST: Final = 200
"""Replies on their way to the broker at once."""
REMEMBERED: Final = 1_000
"""Events kept in memory between their arrival and their handler."""

log = structlog.get_logger()


class ReferralUnknown(Exception):
    """This agency's store has no offer of that referral; check the id and the store's URL."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Agency:
    """Receives what the city addresses to one agency."""

    def __init__(self, settings: AgencySettings, keys: KeyRing, directory: Directory) -> None:
        self.code = settings.code
        self._user = unquote(urlsplit(settings.amqp_url.get_secret_value()).username or "guest")
        self.store = Store(driver_for(settings.store_url))
        self._settings = settings
        self._keys = keys
        self._reader = Reader(settings.code, keys, directory)
        self._handlers: dict[str, Handler] = {}
        self._arriving: Groups[Arrived | Unreadable] = Groups(self._take, self._not_stored)
        self._handled: Groups[Handled] = Groups(self._finish, self._not_stored)
        self._recent: OrderedDict[str, Received[Any]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """By the referral."""
        self._queued: set[str] = set()
        """Events that are ready or with their handler."""
        self._ready: deque[Due] = deque()
        self._outgoing: deque[Outgoing] = deque()
        self._heard: list[Outgoing] = []
        # What is not in memory is in the store: at the start, after a failure, and what waits for something.
        self._look_at = 0.0
        self._look_for_replies = True
        self._something_due = asyncio.Event()
        self._something_said = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._replies = RabbitExchange(REPLIES, type=ExchangeType.TOPIC, declare=False)
        self.broker = RabbitBroker(
            settings.amqp_url.get_secret_value(),
            # Replies must find a queue; without this an unroutable one would look published.
            default_channel=Channel(on_return_raises=True),
            # What could not even be stored goes back to the queue's dead letters; it never just vanishes.
            ack_policy=AckPolicy.REJECT_ON_ERROR,
            apply_types=False,
            fail_fast=False,
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

    def on(self, message: type[E]) -> Callable[[Callable[[Received[E], Reply], Awaitable[None]]], Handler]:
        """Register what happens with events of a type: once each, in the order of their referral.

        A handler that raises is called again after a growing wait; meanwhile the other referrals go on.
        """

        def register(handler: Callable[[Received[E], Reply], Awaitable[None]]) -> Handler:
            self._handlers[message.WIRE_NAME] = handler
            return handler

        return register

    @asynccontextmanager
    async def reply(self, referral_id: UUID) -> AsyncIterator[Reply]:
        """Answer a referral outside a handler, days later too; kept when the block ends without an error.

        Raises ReferralUnknown when it was never offered to this agency.
        """
        body = await self.store.first_of(subject_of(referral_id))
        if body is None:
            msg = f"referral {referral_id} was not offered to {self.code}, or its offer is parked"
            raise ReferralUnknown(msg)
        offered = ReferralOfferedV1.model_validate_json(body)
        reply = self._reply(offered)
        yield reply
        self._say(await self.store.say(reply.drafts))

    async def replay(self, name: str) -> bool:
        """Read again what was set aside; False when there is nothing of that name."""
        body = await self.store.take_out(name)
        if body is None:
            return False
        await self._take([self._read(body, _utc_now())])
        return True

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
        loops = (self._arriving.run, self._handled.run, self._keep_handling, self._keep_saying)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def _end(self) -> None:
        # The broker's client ends some tasks of its own in the next turn of the loop.
        await asyncio.sleep(0)
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LEAVE_WITHIN)
        for task in (*self._under_way.values(), *self._tasks):
            task.cancel()
        for task in (*self._under_way.values(), *self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        if self._heard:
            await self._note_heard()
        await self.store.close()

    async def _receive(self, message: RabbitMessage) -> None:
        """Returning acknowledges, so it returns once the message is stored."""
        await self._arriving.submit(self._read(message.raw_message.body, _utc_now()))

    def _read(self, body: bytes, now: datetime) -> "Arrived | Unreadable":
        try:
            verified = self._reader.verified(body, now)
            event = self._reader.event(verified)
        except NotReadable as error:
            log.error("message_parked", agency=self.code, reason=error.reason.value)
            return Unreadable(body, error.reason.value)
        known: dict[str, Any] = {
            "source": event.source, "event_id": str(event.id), "subject": event.subject,
            "sequence": event.position, "type": event.type, "body": body,
        }  # fmt: skip
        try:
            received = self._reader.opened(event)
        except NotReadable as error:
            log.error("message_parked", agency=self.code, event_id=str(event.id), reason=error.reason.value)
            return Arrived(**known, parked=error.reason.value)
        self._remember(received)
        if not isinstance(event, ReferralOfferedV1):
            return Arrived(**known)
        receipt = self._reply(event)
        receipt.delivered()
        return Arrived(**known, replies=receipt.drafts)

    def _reply(self, about: Event) -> Reply:
        return Reply(about, self._settings.city, lambda event: sign(event, self._keys), now=_utc_now())

    async def _take(self, messages: Sequence["Arrived | Unreadable"]) -> None:
        ready, said = await self.store.take(messages, time.time())
        self._enqueue(ready)
        if len(ready) < len(messages):
            # An event that is not the first of its referral may wait for another.
            self._look_at = 0.0
        self._something_due.set()
        self._say(said)

    async def _finish(self, handled: Sequence[Handled]) -> None:
        self._say(await self.store.finish(handled))

    def _enqueue(self, events: Sequence[Due]) -> None:
        for event in events:
            if event.event_id not in self._queued:
                self._queued.add(event.event_id)
                self._ready.append(event)

    def _say(self, replies: Sequence[Outgoing]) -> None:
        self._outgoing += replies
        self._something_said.set()

    def _not_stored(self, error: Exception) -> None:
        # It may have been stored all the same, its answer lost.
        self._look_at, self._look_for_replies = 0.0, True
        log.error("store_failed", agency=self.code, error=type(error).__name__)

    async def _keep_handling(self) -> None:
        """Call handlers, of one referral one at a time."""
        while True:
            self._something_due.clear()
            if self._has_room and time.time() >= self._look_at:
                await self._find_due()
            later: list[Due] = []
            while self._ready and self._has_room:
                event = self._ready.popleft()
                if event.subject in self._under_way:
                    later.append(event)
                else:
                    self._under_way[event.subject] = asyncio.create_task(self._handle(event))
            self._ready += later
            wait = max(self._look_at - time.time(), 0.01) if self._has_room else LOOK
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._something_due.wait(), None if wait == inf else wait)

    @property
    def _has_room(self) -> bool:
        return len(self._under_way) < self._settings.concurrency

    async def _find_due(self) -> None:
        """Look into the store, and settle when to look again: never while nothing is there."""
        now = time.time()
        self._look_at = inf
        try:
            due, waiting, next_at = await self.store.due(now, PATIENCE, self._settings.concurrency + len(self._queued))
        except Exception as error:
            self._not_stored(error)
            self._look_at = now + LOOK
            return
        self._enqueue(due)
        if waiting:
            self._look_at = min(self._look_at, max(next_at, now + LOOK))

    async def _handle(self, due: Due) -> None:
        handled = await self._call(due)
        await self._handled.submit(handled)
        self._queued.discard(due.event_id)
        del self._under_way[due.subject]
        if handled.again_at is not None:
            self._look_at = min(self._look_at, handled.again_at)
        self._something_due.set()

    async def _call(self, due: Due) -> Handled:
        handler = self._handlers.get(due.type)
        if handler is None:
            return Handled(due.source, due.event_id)
        try:
            received = self._recent.pop(due.event_id, None) or self._reader.opened(
                self._reader.event(self._reader.verified(due.body, _utc_now()))
            )
            reply = self._reply(received.event)
            await handler(received, reply)
        except Exception as error:
            wait = min(0.5 * 2.0**due.attempts, LONGEST_WAIT)
            reason = type(error).__name__
            log.warning(
                "handler_failed", agency=self.code, event_id=due.event_id, error=reason, attempts=due.attempts + 1
            )
            return Handled(due.source, due.event_id, again_at=time.time() + wait, reason=reason)
        return Handled(due.source, due.event_id, reply.drafts)

    async def _keep_saying(self) -> None:
        """Publish what is unsaid until the broker has confirmed it."""
        wait = 0.5
        while True:
            self._something_said.clear()
            try:
                waiting = await self._unsaid()
                told = await asyncio.gather(*(self._publish(reply) for reply in waiting), return_exceptions=True)
            except Exception as error:
                self._not_stored(error)
                await asyncio.sleep(wait)
                continue
            heard = [reply for reply, outcome in zip(waiting, told) if outcome is None]  # noqa: B905 - Python 3.10
            self._heard += heard
            if len(heard) < len(waiting):
                log.warning("replies_wait", agency=self.code, count=len(waiting) - len(heard))
                self._look_for_replies = True
                await asyncio.sleep(wait)
                wait = min(wait * 2, 30.0)
                continue
            wait = 0.5
            if not self._outgoing and not self._look_for_replies:
                await self._wait_for_more()

    async def _wait_for_more(self) -> None:
        """Until something is said; what the broker has heard is noted meanwhile, many at a time."""
        try:
            await asyncio.wait_for(self._something_said.wait(), NOTE if self._heard else None)
        except TimeoutError:
            await self._note_heard()

    async def _note_heard(self) -> None:
        heard, self._heard = self._heard, []
        try:
            await self.store.published(heard, time.time())
        except Exception as error:
            # They are said again, and the city knows them.
            self._not_stored(error)

    async def _unsaid(self) -> list[Outgoing]:
        """From memory, or from the store where memory may lack some."""
        if len(self._heard) >= MOST or (self._heard and self._look_for_replies):
            await self._note_heard()
        if self._look_for_replies:
            self._outgoing.clear()
            found = await self.store.unpublished(MOST)
            self._look_for_replies = len(found) == MOST
            return found
        return [self._outgoing.popleft() for _ in range(min(len(self._outgoing), MOST))]

    async def _publish(self, reply: Outgoing) -> None:
        publishing = self.broker.publish(
            reply.body,
            exchange=self._replies,
            routing_key=routing_key(REPLIES, reply.wire_name, self.code),
            message_id=str(uuid4()),
            correlation_id=reply.correlation_id,
            content_type=CONTENT_TYPE,
            headers={"simpul-exchange": REPLIES},
            # The broker refuses a message whose user is not who has connected.
            user_id=self._user,
            persist=True,
        )
        # The broker's own timeout is not honoured; this one is.
        await asyncio.wait_for(publishing, CONFIRM_WITHIN)

    def _remember(self, received: Received[Any]) -> None:
        self._recent[str(received.event.id)] = received
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


async def _undecoded(message: Any) -> Any:
    return message

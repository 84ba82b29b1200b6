"""Publishes outbox messages with confirms, on a connection of its own.

Committed messages arrive from memory and are published at once; messages that a crash, a refused publish or an outage
left in the table are found by polling. A message is marked as published only after the broker confirmed it. A crash in
between publishes it twice with the same ids, and the inbox drops the second delivery.

A message that cannot be published must not delay others. If the broker or the client refuses it, it alone is deferred.
If a channel closes or confirms are missing, any message in flight may be the cause: all of them become suspects and are
published one by one after the others. A suspect that fails alone is deferred, and its route (exchange and addressee) is
blocked for a while, so that a missing exchange or a full queue costs one attempt and not one per message.
"""

import asyncio
import re
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import aio_pika
import structlog
from aiormq.exceptions import AMQPChannelError, AMQPError, DeliveryError
from pamqp.commands import Basic
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import EVENTS_PUBLISHED, EVENTS_REFUSED, OUTBOX_OLDEST, OUTBOX_PENDING
from simpul_runtime.outbox_message import LEASE, OutboxMessage
from simpul_runtime.supervision import is_cancelled, keep_running
from simpul_schema.amqp_channels import ConfirmedPublisher
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.tracing import trace_publishing
from simpul_seal import SIGNATURE_HEADER

MAX_IN_FLIGHT: Final = 200
"""Messages published without waiting for a confirm; more than 100 to 200 gain little."""
MAX_IN_MEMORY: Final = 20_000
"""Committed messages kept in memory while the broker is slow; the others are read from the table later."""
HIGH_WATERMARK: Final = 200
"""Messages in memory above which the inbox waits before it takes its next batch."""
CONNECT_TIMEOUT: Final = 10.0
"""Seconds."""
CONFIRM_TIMEOUT: Final = 5.0
"""Seconds; the timeouts of aio-pika and FastStream do not cover a frozen broker."""
POLL_INTERVAL: Final = 1.0
"""Seconds between two reads of the table."""
MEASURE_INTERVAL: Final = 2.0
"""Seconds between two updates of the metrics."""
MARK_INTERVAL: Final = 0.1
"""Seconds in which confirms are collected to mark their messages together; a crash before that publishes them again."""
MARK_RETRY_DELAY: Final = 1.0
"""Seconds until messages are marked as published again after the database failed."""
ROUTE_BLOCK: Final = 10.0
"""Seconds for which a route is blocked after a message failed on it alone."""
MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY = 0.2, 5.0
"""Seconds until the next attempt to connect, doubling."""
_REFUSALS: Final = (DeliveryError, ValueError, TypeError, struct.error)
"""The broker or the client refused this one message: no queue, a full queue, a routing key that is too long."""
_MISSING_EXCHANGE: Final = re.compile("no exchange '([^']*)'")

log = structlog.get_logger()

_TAKE_DUE = text("""
    UPDATE outbox SET due_at = now() + :lease
    WHERE message_id = ANY (ARRAY(
        SELECT message_id FROM outbox WHERE published_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING message_id, exchange, routing_key, body, coalesce(signature, ''), event_id, correlation_id,
        coalesce(traceparent, '')
""")
_END_LEASES = text("UPDATE outbox SET due_at = now() WHERE published_at IS NULL AND due_at > now()")
_MARK_PUBLISHED = text("UPDATE outbox SET published_at = now() WHERE message_id = ANY(:ids)")
_DEFER = text("""
    UPDATE outbox SET attempts = attempts + 1, last_error = :error,
        due_at = now() + least(interval '1 second' * 2 ^ least(attempts, 6), interval '1 minute')
    WHERE message_id = ANY(:ids)
""")
_DEFER_BRIEFLY = text(
    "UPDATE outbox SET due_at = now() + interval '1 second', last_error = :error WHERE message_id = ANY(:ids)"
)
_LAG = text("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(
        CASE WHEN last_error = 'sent_again' THEN due_at ELSE created_at END)), 0)
    FROM outbox WHERE published_at IS NULL
""")


SignAgain: TypeAlias = Callable[[bytes, datetime], tuple[bytes, str]]
"""Removes an embedded signature from a body; returns the remaining body and its signature."""


class RouteBlocked(Exception):
    """Another message failed on this route a moment ago; this one was not tried."""


class OutboxRelay:
    """Publishes outbox messages; one per process, and any number of processes may share a table."""

    def __init__(self, engine: AsyncEngine, addresses: BrokerAddresses, sign_again: SignAgain) -> None:
        """Takes `sign_again` for messages that an earlier version stored with the signature inside the body."""
        self._engine = engine
        self._addresses = addresses
        self._sign_again = sign_again
        self._committed: deque[OutboxMessage] = deque(maxlen=MAX_IN_MEMORY)
        self._confirmed: list[UUID] = []
        self._wake_up = asyncio.Event()
        self._has_capacity = asyncio.Event()
        self._must_mark = asyncio.Event()
        self._suspects: dict[UUID, int] = {}
        """Message id -> number of attempts in which it failed alone."""
        self._untried_suspects: list[OutboxMessage] = []
        self._blocked_until: dict[str, float] = {}
        self._has_ended_leases = False
        self.is_connected = False
        self.oldest_seconds = 0.0

    def publish_soon(self, messages: Sequence[OutboxMessage]) -> None:
        """Publishes messages that were just committed."""
        if self.is_connected:
            self._committed.extend(messages)
            self._wake_up.set()

    async def wait_for_capacity(self) -> None:
        """Waits until few messages are in memory; deliveries that wait in the broker use no memory here."""
        while self.is_connected and len(self._committed) > HIGH_WATERMARK:
            self._has_capacity.clear()
            await self._has_capacity.wait()

    async def run(self) -> None:
        """Publishes until cancelled; reconnects after growing delays."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_running("relay", self._keep_publishing))
                tasks.create_task(keep_running("relay_marks", self._keep_marking))
                tasks.create_task(keep_running("relay_measures", self._keep_measuring))
        finally:
            await self._mark_confirmed()

    async def _keep_publishing(self) -> None:
        delay = MIN_RECONNECT_DELAY
        while True:
            try:
                await self._end_leases()
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    connection = await aio_pika.connect(self._addresses.next())
                async with connection:
                    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                    self.is_connected, delay = True, MIN_RECONNECT_DELAY
                    await self._publish_on(ConfirmedPublisher(await channel.get_underlay_channel()))
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                log.warning("relay_disconnected")
            except (AMQPError, OSError, TimeoutError) as error:
                log.warning("relay_disconnected", exc_info=error)
            except Exception as error:
                log.error("relay_failed", exc_info=error)
            self.is_connected = False
            self._committed.clear()
            self._has_capacity.set()
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_RECONNECT_DELAY)

    async def _end_leases(self) -> None:
        """Makes the messages due that an earlier process leased and did not publish; once per process."""
        if not self._has_ended_leases:
            async with self._engine.begin() as connection:
                await connection.execute(_END_LEASES)
            self._has_ended_leases = True

    async def _publish_on(self, publisher: ConfirmedPublisher) -> None:
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while not publisher.is_closed:
            # Cleared before memory is read: messages that arrive during a poll must still end the wait.
            self._wake_up.clear()
            count = min(len(self._committed), MAX_IN_FLIGHT)
            messages: Sequence[OutboxMessage] = [self._committed.popleft() for _ in range(count)]
            if self._untried_suspects:
                messages, self._untried_suspects = [*messages, *self._untried_suspects], []
            self._has_capacity.set()
            if not messages and loop.time() >= next_poll:
                messages = await self._take_due()
                next_poll = loop.time() + (0 if len(messages) == MAX_IN_FLIGHT else POLL_INTERVAL)
            if messages:
                await self._publish(publisher, messages)
                continue
            try:
                async with asyncio.timeout(max(next_poll - loop.time(), 0.01)):
                    await self._wake_up.wait()
            except TimeoutError:
                continue

    async def _publish(self, publisher: ConfirmedPublisher, messages: Sequence[OutboxMessage]) -> None:
        """Publishes messages together, then the suspects one by one; ConnectionError if the channel is unusable."""
        if not (self._suspects or self._blocked_until):
            await self._publish_together(publisher, messages)
            return
        unblocked = await self._defer_blocked(messages)
        suspects = [message for message in unblocked if message.message_id in self._suspects]
        others = [message for message in unblocked if message.message_id not in self._suspects]
        for position, group in enumerate([others, *([message] for message in suspects)]):
            # If this connection fails, the next one starts with these.
            self._untried_suspects = suspects[position:]
            await self._publish_together(publisher, group)
        self._untried_suspects = []

    async def _defer_blocked(self, messages: Sequence[OutboxMessage]) -> list[OutboxMessage]:
        """Defers the messages whose route is blocked; returns the others."""
        now = asyncio.get_running_loop().time()
        self._blocked_until = {route: until for route, until in self._blocked_until.items() if until > now}
        is_open = [self._blocked_until.keys().isdisjoint(_routes_of(message)) for message in messages]
        blocked = [message.message_id for message, free in zip(messages, is_open, strict=True) if not free]
        await self._defer(_DEFER, dict.fromkeys(blocked, RouteBlocked()))
        return [message for message, free in zip(messages, is_open, strict=True) if free]

    async def _publish_together(self, publisher: ConfirmedPublisher, messages: Sequence[OutboxMessage]) -> None:
        if not messages:
            return
        publishing = [asyncio.create_task(self._publish_message(publisher, message)) for message in messages]
        try:
            await asyncio.wait(publishing, timeout=CONFIRM_TIMEOUT)
        finally:
            for task in publishing:
                task.cancel()
        errors = [_error_of(task) for task in publishing]
        failed = {message.message_id: e for message, e in zip(messages, errors, strict=True) if e is not None}
        confirmed = [message.message_id for message in messages if message.message_id not in failed]
        self._confirmed += confirmed
        self._must_mark.set()
        EVENTS_PUBLISHED.inc(len(confirmed))
        if self._suspects:
            for message_id in confirmed:
                self._suspects.pop(message_id, None)
        if failed:
            await self._settle_failed(messages, failed)

    async def _settle_failed(self, messages: Sequence[OutboxMessage], failed: dict[UUID, BaseException]) -> None:
        """Defers failed messages; ConnectionError if the channel failed and not only single messages."""
        unclear = {message_id: error for message_id, error in failed.items() if not isinstance(error, _REFUSALS)}
        refused = {message_id: error for message_id, error in failed.items() if message_id not in unclear}
        self._add_suspects(messages, unclear)
        await self._defer(_DEFER, refused)
        # Of many messages in flight at most a few can be the cause, so the delay is short.
        await self._defer(_DEFER if len(messages) == 1 else _DEFER_BRIEFLY, unclear)
        if unclear:
            msg = "the channel no longer confirms"
            raise ConnectionError(msg)

    def _add_suspects(self, messages: Sequence[OutboxMessage], unclear: dict[UUID, BaseException]) -> None:
        """Adds messages that failed together with the channel; blocks a route that is known to be the cause."""
        until = asyncio.get_running_loop().time() + ROUTE_BLOCK
        for message_id, error in unclear.items():
            failures_alone = self._suspects.get(message_id, 0) + (len(messages) == 1)
            self._suspects[message_id] = failures_alone
            missing = _MISSING_EXCHANGE.search(str(error))
            if missing:
                self._blocked_until[missing.group(1)] = until
            elif len(messages) == 1 and (failures_alone > 1 or isinstance(error, AMQPChannelError | TimeoutError)):
                self._blocked_until[_routes_of(messages[0])[-1]] = until
        if len(self._suspects) > MAX_IN_MEMORY:
            # Other processes have published most of them.
            self._suspects.clear()

    async def _defer(self, statement: TextClause, failed: Mapping[UUID, BaseException]) -> None:
        causes: dict[str, list[UUID]] = {}
        for message_id, error in failed.items():
            causes.setdefault(type(error).__name__, []).append(message_id)
        for cause, ids in causes.items():
            EVENTS_REFUSED.labels(cause).inc(len(ids))
            log.warning("publish_refused", reason=cause, count=len(ids))
            async with self._engine.begin() as connection:
                await connection.execute(statement, {"ids": ids, "error": cause})

    async def _publish_message(self, publisher: ConfirmedPublisher, message: OutboxMessage) -> None:
        with trace_publishing(
            message.traceparent,
            message.exchange,
            message.routing_key,
            message_id=message.message_id,
            case_id=message.correlation_id,
        ) as trace:
            await publisher.publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=Basic.Properties(
                    # Unique for each destination: returns of two messages in flight with one id would be mixed up.
                    message_id=str(message.message_id),
                    correlation_id=str(message.correlation_id),
                    content_type=CONTENT_TYPE,
                    delivery_mode=2,
                    # Read by `simpul topology resend`, because an alternate exchange hides the original one.
                    headers={"simpul-exchange": message.exchange, SIGNATURE_HEADER: message.signature, **trace},
                ),
            )

    async def _take_due(self) -> list[OutboxMessage]:
        async with self._engine.begin() as connection:
            found = await connection.execute(_TAKE_DUE, {"lease": LEASE, "limit": MAX_IN_FLIGHT})
            return [self._sign_embedded(OutboxMessage(*row)) for row in found]

    def _sign_embedded(self, message: OutboxMessage) -> OutboxMessage:
        """Replaces an embedded signature; returns other messages unchanged."""
        if message.signature:
            return message
        body, signature = self._sign_again(message.body, utc_now())
        return replace(message, body=body, signature=signature)

    async def _keep_marking(self) -> None:
        while True:
            await self._must_mark.wait()
            await asyncio.sleep(MARK_INTERVAL)
            self._must_mark.clear()
            if not await self._mark_confirmed():
                await asyncio.sleep(MARK_RETRY_DELAY)
                self._must_mark.set()

    async def _mark_confirmed(self) -> bool:
        """Marks confirmed messages as published; returns False if the database failed, and keeps them then."""
        ids, self._confirmed = self._confirmed, []
        if not ids:
            return True
        try:
            async with self._engine.begin() as connection:
                await connection.execute(_MARK_PUBLISHED, {"ids": ids})
        except BaseException as error:
            self._confirmed = ids + self._confirmed
            if not isinstance(error, Exception):
                # The relay is being stopped, and marks them as the last thing it does.
                raise
            log.warning("outbox_marking_failed", count=len(ids), exc_info=error)
            return False
        return True

    async def _keep_measuring(self) -> None:
        while True:
            try:
                async with self._engine.connect() as connection:
                    pending, self.oldest_seconds = map(float, (await connection.execute(_LAG)).one())
                OUTBOX_PENDING.set(pending)
                OUTBOX_OLDEST.set(self.oldest_seconds)
            except Exception as error:
                log.warning("outbox_measurement_failed", exc_info=error)
            await asyncio.sleep(MEASURE_INTERVAL)


def _routes_of(message: OutboxMessage) -> tuple[str, str]:
    """Returns the exchange, and the exchange with the first two words of the key, which name the addressee."""
    return message.exchange, f"{message.exchange} {'.'.join(message.routing_key.split('.')[:2])}"


def _error_of(task: "asyncio.Task[None]") -> BaseException | None:
    """Returns why a publish failed, a missing confirm included; None if the broker confirmed it."""
    if not task.done():
        return TimeoutError()
    return ConnectionError() if task.cancelled() else task.exception()

"""Publishes what the outbox holds, with confirms, on a connection of its own.

Committed rows arrive from memory and are published at once; rows that a crash, a refused publish or an outage left
behind are swept from the table. A row is marked only after the broker confirmed it, so a crash in between publishes
it twice with the same ids, and the inbox absorbs that.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import aio_pika
import structlog
from aiormq.abc import AbstractChannel as ConfirmChannel
from aiormq.exceptions import AMQPError, DeliveryError, PublishError
from pamqp.commands import Basic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.held import OutboxRow
from simpul_runtime.metrics import EVENTS_PUBLISHED, EVENTS_REFUSED, OUTBOX_OLDEST, OUTBOX_PENDING
from simpul_runtime.outbox import HOT
from simpul_schema.envelope import CONTENT_TYPE

WINDOW: Final = 200
"""Publishes in flight at once; the gain flattens at 100 to 200."""
MEMORY: Final = 20_000
"""Rows kept in memory while the broker lags; the table holds the others."""
AHEAD: Final = 200
"""Rows a consumer may be ahead of the broker's confirms before it takes the next batch."""
CONFIRM_WITHIN: Final = 5.0
"""Seconds; aio-pika's and FastStream's own timeouts do not cover a frozen broker."""
POLL: Final = 1.0
"""Seconds between sweeps of the table."""

log = structlog.get_logger()

_TAKE_DUE = text("""
    UPDATE outbox SET due_at = now() + :lease
    WHERE message_id IN (
        SELECT message_id FROM outbox WHERE published_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT :window FOR UPDATE SKIP LOCKED)
    RETURNING message_id, exchange, routing_key, body, event_id, correlation_id
""")
_TAKE_OVER = text("UPDATE outbox SET due_at = now() WHERE published_at IS NULL AND due_at > now()")
_MARK = text("UPDATE outbox SET published_at = now() WHERE message_id = ANY(:ids)")
_DEFER = text("""
    UPDATE outbox SET attempts = attempts + 1, last_error = :error,
        due_at = now() + least(interval '1 second' * 2 ^ least(attempts, 6), interval '1 minute')
    WHERE message_id = ANY(:ids)
""")
_LAG = text("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(
        CASE WHEN last_error = 'sent_again' THEN due_at ELSE created_at END)), 0)
    FROM outbox WHERE published_at IS NULL
""")


class Relay:
    """One per process; any number of processes may share a table."""

    def __init__(self, engine: AsyncEngine, amqp_url: str) -> None:
        self._engine = engine
        self._amqp_url = amqp_url
        self._hot: deque[OutboxRow] = deque(maxlen=MEMORY)
        self._confirmed: list[UUID] = []
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._marking = asyncio.Event()
        self.is_connected = False
        self.oldest_seconds = 0.0

    def hand_over(self, rows: Sequence[OutboxRow]) -> None:
        """Publish rows that were just committed."""
        if self.is_connected:
            self._hot.extend(rows)
            self._wake.set()

    async def has_room(self) -> None:
        """Return when the relay is not far behind: what waits in the broker costs no memory here."""
        while self.is_connected and len(self._hot) > AHEAD:
            self._caught_up.clear()
            await self._caught_up.wait()

    async def run(self) -> None:
        """Publish until cancelled; reconnect with growing waits."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_publishing())
            tasks.create_task(self._keep_marking())
            tasks.create_task(self._keep_measuring())

    async def _keep_publishing(self) -> None:
        wait = 0.2
        async with self._engine.begin() as connection:
            await connection.execute(_TAKE_OVER)
        while True:
            try:
                async with asyncio.timeout(10):
                    link = await aio_pika.connect(self._amqp_url)
                async with link:
                    channel = await link.channel(publisher_confirms=True, on_return_raises=True)
                    self.is_connected, wait = True, 0.2
                    await self._publish_from(await channel.get_underlay_channel())
            except asyncio.CancelledError:
                # aiormq cancels its waiters when a link dies; only a cancellation of this task is meant for us.
                current = asyncio.current_task()
                if current is not None and current.cancelling():
                    raise
                log.warning("relay_disconnected")
            except (AMQPError, OSError, TimeoutError) as error:
                log.warning("relay_disconnected", exc_info=error)
            except Exception as error:
                log.error("relay_failed", exc_info=error)
            self.is_connected = False
            self._hot.clear()
            self._caught_up.set()
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)

    async def _publish_from(self, channel: ConfirmChannel) -> None:
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while not channel.is_closed:
            # Before the look into memory: what is handed over during a sweep must still end the wait.
            self._wake.clear()
            rows: Sequence[OutboxRow] = [self._hot.popleft() for _ in range(min(len(self._hot), WINDOW))]
            self._caught_up.set()
            if not rows and loop.time() >= next_poll:
                rows = await self._take_due()
                next_poll = loop.time() + (0 if len(rows) == WINDOW else POLL)
            if rows:
                await self._publish(channel, rows)
                continue
            try:
                async with asyncio.timeout(max(next_poll - loop.time(), 0.01)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _publish(self, channel: ConfirmChannel, rows: Sequence[OutboxRow]) -> None:
        async with asyncio.timeout(CONFIRM_WITHIN):
            outcomes = await asyncio.gather(*(self._publish_row(channel, row) for row in rows), return_exceptions=True)
        refused: dict[str, list[UUID]] = {}
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                refused.setdefault(type(outcome).__name__, []).append(row.message_id)
            else:
                self._confirmed.append(row.message_id)
        self._marking.set()
        EVENTS_PUBLISHED.inc(len(rows) - sum(map(len, refused.values())))
        for cause, ids in refused.items():
            EVENTS_REFUSED.labels(cause).inc(len(ids))
            log.warning("publish_refused", reason=cause, count=len(ids))
            async with self._engine.begin() as connection:
                await connection.execute(_DEFER, {"ids": ids, "error": cause})
        if any(not isinstance(o, PublishError | DeliveryError) for o in outcomes if isinstance(o, BaseException)):
            msg = "the channel no longer confirms"
            raise ConnectionError(msg)

    async def _publish_row(self, channel: ConfirmChannel, row: OutboxRow) -> None:
        await channel.basic_publish(
            row.body,
            exchange=row.exchange,
            routing_key=row.routing_key,
            mandatory=True,
            wait=False,  # type: ignore[call-arg]  # the real channel takes it, its abstract class does not say so
            properties=Basic.Properties(
                # Unique for each destination: two in flight with one id would mix up their returns.
                message_id=str(row.message_id),
                correlation_id=str(row.correlation_id),
                content_type=CONTENT_TYPE,
                delivery_mode=2,
                # Kept for `simpul topology resend`: an alternate exchange forgets where a message came from.
                headers={"simpul-exchange": row.exchange},
            ),
        )

    async def _take_due(self) -> list[OutboxRow]:
        async with self._engine.begin() as connection:
            found = await connection.execute(_TAKE_DUE, {"lease": HOT, "window": WINDOW})
            return [OutboxRow(*row) for row in found]

    async def _keep_marking(self) -> None:
        while True:
            await self._marking.wait()
            self._marking.clear()
            ids, self._confirmed = self._confirmed, []
            if not ids:
                continue
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(_MARK, {"ids": ids})
            except Exception as error:
                log.warning("marking_failed", count=len(ids), exc_info=error)
                self._confirmed = ids + self._confirmed
                await asyncio.sleep(1)
                self._marking.set()

    async def _keep_measuring(self) -> None:
        while True:
            try:
                async with self._engine.connect() as connection:
                    pending, self.oldest_seconds = map(float, (await connection.execute(_LAG)).one())
                OUTBOX_PENDING.set(pending)
                OUTBOX_OLDEST.set(self.oldest_seconds)
            except Exception as error:
                log.warning("measuring_failed", exc_info=error)
            await asyncio.sleep(2)

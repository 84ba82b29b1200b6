"""Publishes what the outbox holds, with confirms, on a connection of its own.

Committed rows arrive from memory and are published at once; rows that a crash, a refused publish or an outage left
behind are swept from the table. A row is marked only after the broker confirmed it, so a crash in between publishes
it twice with the same ids, and the inbox absorbs that.

A row that cannot be published harms no other. What the broker or the client refuses is put off by itself. When a
channel dies or confirms are missing, each of the rows in flight may be the reason: they are suspects, and published
one by one behind all others. One that fails alone is put off, and with it for a while everything that goes the same
way (to the same exchange and agency), so that a missing exchange or a queue that takes nothing costs one try.
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
from aiormq.abc import AbstractChannel as ConfirmChannel
from aiormq.exceptions import AMQPChannelError, AMQPError, DeliveryError
from pamqp.commands import Basic
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.database import utc_now
from simpul_runtime.held import OutboxRow
from simpul_runtime.metrics import EVENTS_PUBLISHED, EVENTS_REFUSED, OUTBOX_OLDEST, OUTBOX_PENDING
from simpul_runtime.outbox import HOT
from simpul_runtime.supervision import is_cancelled, keep_running
from simpul_schema.envelope import CONTENT_TYPE
from simpul_seal import SIGNATURE_HEADER

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
BLOCKED: Final = 10.0
"""Seconds for which nothing is sent the way on which a row failed alone."""
RECONNECT_AFTER: Final = 0.2
"""Seconds, doubling up to 5."""
_REFUSED: Final = (DeliveryError, ValueError, TypeError, struct.error)
"""The broker or the client refuses this one row: no queue, a full queue, a routing key that is too long."""
_NO_EXCHANGE: Final = re.compile("no exchange '([^']*)'")

log = structlog.get_logger()

_TAKE_DUE = text("""
    UPDATE outbox SET due_at = now() + :lease
    WHERE message_id IN (
        SELECT message_id FROM outbox WHERE published_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT :window FOR UPDATE SKIP LOCKED)
    RETURNING message_id, exchange, routing_key, body, coalesce(signature, ''), event_id, correlation_id
""")
_TAKE_OVER = text("UPDATE outbox SET due_at = now() WHERE published_at IS NULL AND due_at > now()")
_MARK = text("UPDATE outbox SET published_at = now() WHERE message_id = ANY(:ids)")
_DEFER = text("""
    UPDATE outbox SET attempts = attempts + 1, last_error = :error,
        due_at = now() + least(interval '1 second' * 2 ^ least(attempts, 6), interval '1 minute')
    WHERE message_id = ANY(:ids)
""")
_POSTPONE = text(
    "UPDATE outbox SET due_at = now() + interval '1 second', last_error = :error WHERE message_id = ANY(:ids)"
)
_LAG = text("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(
        CASE WHEN last_error = 'sent_again' THEN due_at ELSE created_at END)), 0)
    FROM outbox WHERE published_at IS NULL
""")


SignAgain: TypeAlias = Callable[[bytes, datetime], tuple[bytes, str]]
"""Takes the signature out of a body; returns the rest and the signature to send beside it."""


class WayBlocked(Exception):
    """Another row failed on the same way a moment ago; this one waits without being tried."""


class Relay:
    """One per process; any number of processes may share a table."""

    def __init__(self, engine: AsyncEngine, amqp_url: str, sign_again: SignAgain) -> None:
        """With `sign_again`, what to do with rows of a version that put the signature into the body."""
        self._engine = engine
        self._amqp_url = amqp_url
        self._sign_again = sign_again
        self._hot: deque[OutboxRow] = deque(maxlen=MEMORY)
        self._confirmed: list[UUID] = []
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._marking = asyncio.Event()
        self._suspects: dict[UUID, int] = {}
        self._left: list[OutboxRow] = []
        self._blocked_until: dict[str, float] = {}
        self._has_taken_over = False
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
            tasks.create_task(keep_running("relay", self._keep_publishing))
            tasks.create_task(keep_running("relay_marks", self._keep_marking))
            tasks.create_task(keep_running("relay_measures", self._keep_measuring))

    async def _keep_publishing(self) -> None:
        wait = RECONNECT_AFTER
        while True:
            try:
                await self._take_over()
                async with asyncio.timeout(10):
                    link = await aio_pika.connect(self._amqp_url)
                async with link:
                    channel = await link.channel(publisher_confirms=True, on_return_raises=True)
                    self.is_connected, wait = True, RECONNECT_AFTER
                    await self._publish_from(await channel.get_underlay_channel())
            except asyncio.CancelledError:
                if is_cancelled():
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

    async def _take_over(self) -> None:
        """Once, at the start: what an earlier process took and did not publish."""
        if not self._has_taken_over:
            async with self._engine.begin() as connection:
                await connection.execute(_TAKE_OVER)
            self._has_taken_over = True

    async def _publish_from(self, channel: ConfirmChannel) -> None:
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while not channel.is_closed:
            # Before the look into memory: what is handed over during a sweep must still end the wait.
            self._wake.clear()
            rows: Sequence[OutboxRow] = [self._hot.popleft() for _ in range(min(len(self._hot), WINDOW))]
            if self._left:
                rows, self._left = [*rows, *self._left], []
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
        """All at once but the suspects, which follow one by one; ConnectionError when the channel can do no more."""
        if not (self._suspects or self._blocked_until):
            await self._publish_together(channel, rows)
            return
        open_ways = await self._without_blocked(rows)
        suspects = [row for row in open_ways if row.message_id in self._suspects]
        others = [row for row in open_ways if row.message_id not in self._suspects]
        for position, group in enumerate([others, *([row] for row in suspects)]):
            # What the next connection takes first, should this one end here.
            self._left = suspects[position:]
            await self._publish_together(channel, group)
        self._left = []

    async def _without_blocked(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        now = asyncio.get_running_loop().time()
        self._blocked_until = {way: until for way, until in self._blocked_until.items() if until > now}
        is_open = [self._blocked_until.keys().isdisjoint(_ways_of(row)) for row in rows]
        blocked = [row.message_id for row, free in zip(rows, is_open, strict=True) if not free]
        await self._put_off(_DEFER, dict.fromkeys(blocked, WayBlocked()))
        return [row for row, free in zip(rows, is_open, strict=True) if free]

    async def _publish_together(self, channel: ConfirmChannel, rows: Sequence[OutboxRow]) -> None:
        if not rows:
            return
        publishing = [asyncio.create_task(self._publish_row(channel, row)) for row in rows]
        try:
            await asyncio.wait(publishing, timeout=CONFIRM_WITHIN)
        finally:
            for task in publishing:
                task.cancel()
        outcomes = [_outcome_of(task) for task in publishing]
        failed = {row.message_id: o for row, o in zip(rows, outcomes, strict=True) if o is not None}
        confirmed = [row.message_id for row in rows if row.message_id not in failed]
        self._confirmed += confirmed
        self._marking.set()
        EVENTS_PUBLISHED.inc(len(confirmed))
        if self._suspects:
            for message_id in confirmed:
                self._suspects.pop(message_id, None)
        if failed:
            await self._settle_failed(rows, failed)

    async def _settle_failed(self, rows: Sequence[OutboxRow], failed: dict[UUID, BaseException]) -> None:
        """Put off what failed; ConnectionError when it was the channel."""
        unclear = {message_id: error for message_id, error in failed.items() if not isinstance(error, _REFUSED)}
        refused = {message_id: error for message_id, error in failed.items() if message_id not in unclear}
        self._note_suspects(rows, unclear)
        await self._put_off(_DEFER, refused)
        # Most of those that were in flight together are as good as any.
        await self._put_off(_DEFER if len(rows) == 1 else _POSTPONE, unclear)
        if unclear:
            msg = "the channel no longer confirms"
            raise ConnectionError(msg)

    def _note_suspects(self, rows: Sequence[OutboxRow], unclear: dict[UUID, BaseException]) -> None:
        """Each that failed without an answer to itself; the way is closed where the fault is known to be there."""
        until = asyncio.get_running_loop().time() + BLOCKED
        for message_id, error in unclear.items():
            alone = self._suspects.get(message_id, 0) + (len(rows) == 1)
            self._suspects[message_id] = alone
            missing = _NO_EXCHANGE.search(str(error))
            if missing:
                self._blocked_until[missing.group(1)] = until
            elif len(rows) == 1 and (alone > 1 or isinstance(error, AMQPChannelError | TimeoutError)):
                self._blocked_until[_ways_of(rows[0])[-1]] = until
        if len(self._suspects) > MEMORY:
            # Other processes have published most of them.
            self._suspects.clear()

    async def _put_off(self, how: TextClause, failed: Mapping[UUID, BaseException]) -> None:
        causes: dict[str, list[UUID]] = {}
        for message_id, error in failed.items():
            causes.setdefault(type(error).__name__, []).append(message_id)
        for cause, ids in causes.items():
            EVENTS_REFUSED.labels(cause).inc(len(ids))
            log.warning("publish_refused", reason=cause, count=len(ids))
            async with self._engine.begin() as connection:
                await connection.execute(how, {"ids": ids, "error": cause})

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
                headers={"simpul-exchange": row.exchange, SIGNATURE_HEADER: row.signature},
            ),
        )

    async def _take_due(self) -> list[OutboxRow]:
        async with self._engine.begin() as connection:
            found = await connection.execute(_TAKE_DUE, {"lease": HOT, "window": WINDOW})
            return [self._signed(OutboxRow(*row)) for row in found]

    def _signed(self, row: OutboxRow) -> OutboxRow:
        if row.signature:
            return row
        body, signature = self._sign_again(row.body, utc_now())
        return replace(row, body=body, signature=signature)

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


def _ways_of(row: OutboxRow) -> tuple[str, str]:
    """The exchange, and what is addressed there to one agency or is about one thing."""
    return row.exchange, f"{row.exchange} {'.'.join(row.routing_key.split('.')[:2])}"


def _outcome_of(task: "asyncio.Task[None]") -> BaseException | None:
    """None when the broker confirmed; a confirm that is missing counts as a failure."""
    if not task.done():
        return TimeoutError()
    return ConnectionError() if task.cancelled() else task.exception()

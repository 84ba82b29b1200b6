"""Hands held events to the relay once everybody they need has a usable key, and raises the alarm until then."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import structlog

from simpul_runtime.held import (
    MAX_STREAMS,
    HeldEvent,
    OutboxRow,
    count_held,
    delete_held,
    load_streams,
    lock_release,
    wait_for,
)
from simpul_runtime.metrics import HELD_EVENTS, HELD_OLDEST
from simpul_runtime.outbox import store_rows
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions

POLL_INTERVAL: Final = 2.0
"""Seconds between looks at what is held."""

CLEANUP_INTERVAL: Final = timedelta(minutes=1)
"""Time between looks for held events that must not be sent any more, while their recipient still has no key."""

FindWithheld: TypeAlias = Callable[[Transaction, Sequence[HeldEvent]], Awaitable[Collection[UUID]]]
"""Names the events among the held ones that must not be sent any more."""

log = structlog.get_logger()


async def withhold_nothing(_: Transaction, __: Sequence[HeldEvent]) -> Collection[UUID]:
    """For services whose events are never withdrawn."""
    return ()


class HeldEventRelease:
    """One per process; at any moment one process of a service releases."""

    def __init__(self, transactions: Transactions, keys: Keys) -> None:
        self._transactions = transactions
        self._keys = keys
        self.find_withheld: FindWithheld = withhold_nothing
        self._cleaned_at: datetime | None = None
        self._unreadable: set[UUID] = set()
        self.held: Mapping[str, tuple[int, float]] = {}
        """For whose key events wait: how many, and for how many seconds the oldest does."""

    async def run(self) -> None:
        """Release and measure until cancelled."""
        while True:
            try:
                await self.release()
            except Exception as error:
                log.warning("release_failed", exc_info=error)
            await asyncio.sleep(POLL_INTERVAL)

    async def release(self) -> int:
        """Release everything whose keys are usable now; returns how many events entered the outbox."""
        async with self._transactions.begin() as transaction:
            waiting = await count_held(transaction.connection)
        released = 0
        for party in self._parties_to_release(waiting, transaction.now):
            released += await self._release_party(party)
        if waiting:
            async with self._transactions.begin() as transaction:
                waiting = await count_held(transaction.connection)
        self._report(waiting)
        return released

    def _parties_to_release(self, waiting: Iterable[str], now: datetime) -> list[str]:
        """Those with a usable key; now and then the others too, because what is withheld needs none."""
        if not self._keys.can_sign(now):
            return []
        is_due = self._cleaned_at is None or now - self._cleaned_at >= CLEANUP_INTERVAL
        self._cleaned_at = now if is_due else self._cleaned_at
        return [party for party in waiting if is_due or self._keys.has_usable_key(party, now)]

    async def _release_party(self, party: str) -> int:
        released, after, streams = 0, 0, MAX_STREAMS
        while streams == MAX_STREAMS:
            async with self._transactions.begin() as transaction:
                if not await lock_release(transaction.connection):
                    break
                found = await load_streams(transaction.connection, party, after)
                rows = await self._release_streams(transaction, found)
            streams, released = len(found), released + len(rows)
            firsts = (min(event.position for event in stream if event.waits_for == party) for stream in found)
            after = max(firsts, default=after)
        if released:
            log.info("held_events_released", party=party, count=released)
        return released

    async def _release_streams(
        self, transaction: Transaction, streams: Sequence[Sequence[HeldEvent]]
    ) -> list[OutboxRow]:
        rows: list[tuple[int, OutboxRow]] = []
        gone: list[HeldEvent] = []
        for stream, withheld in await self._judged(transaction, streams):
            for index, event in enumerate(stream):
                if event.event_id in withheld:
                    log.info("held_event_withheld", party=event.waits_for, event_id=event.event_id)
                    gone.append(event)
                    continue
                row = await self._row(transaction, event, stream[index:])
                if row is None:
                    break
                rows.append((event.position, row))
                gone.append(event)
        ordered = [row for _, row in sorted(rows, key=lambda entry: entry[0])]
        await store_rows(transaction.connection, ordered, transaction.now)
        await delete_held(transaction.connection, gone)
        transaction.outgoing += ordered
        return ordered

    async def _judged(
        self, transaction: Transaction, streams: Sequence[Sequence[HeldEvent]]
    ) -> list[tuple[Sequence[HeldEvent], Collection[UUID]]]:
        """Each stream with what is withheld of it; one that cannot be judged is left out, and waits on."""
        try:
            withheld = await self.find_withheld(transaction, [event for stream in streams for event in stream])
        except Exception as error:
            if len(streams) == 1:
                self._log_once(streams[0][0], error)
                return []
            return [found for stream in streams for found in await self._judged(transaction, [stream])]
        return [(stream, withheld) for stream in streams]

    def _log_once(self, event: HeldEvent, error: Exception) -> None:
        if event.event_id not in self._unreadable:
            self._unreadable.add(event.event_id)
            log.error("held_event_unreadable", party=event.waits_for, event_id=event.event_id, exc_info=error)

    async def _row(self, transaction: Transaction, event: HeldEvent, stream: Sequence[HeldEvent]) -> OutboxRow | None:
        """The outbox row of a held event; None when it and the rest of its stream have to wait on."""
        try:
            draft = event.draft(self._keys)
            without_key = draft.recipients_without_key(self._keys, transaction.now)
            missing = draft.waits_for(without_key)
            if not missing:
                body = draft.body(self._keys, transaction.now, without_key)
                return draft.row(body, self._keys.sign(body, transaction.now))
        except Exception as error:
            # Each stands alone: what is wrong with this one must not keep the others.
            self._log_once(event, error)
            return None
        if missing != event.waits_for:
            await wait_for(transaction.connection, missing, stream)
        return None

    def _report(self, waiting: Mapping[str, tuple[int, float]]) -> None:
        for party in waiting.keys() | self.held.keys():
            count, age = waiting.get(party, (0, 0.0))
            HELD_EVENTS.labels(party).set(count)
            HELD_OLDEST.labels(party).set(age)
            if party not in self.held:
                log.error("events_wait_for_key", party=party, count=count)
            elif party not in waiting:
                log.info("no_event_waits_for_key", party=party)
        self.held = waiting

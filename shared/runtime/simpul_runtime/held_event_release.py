"""Moves held events into the outbox once every key they need is usable, and raises an alarm until then."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import structlog

from simpul_runtime.held_events import (
    MAX_STREAMS,
    HeldEvent,
    count_held_events,
    delete_held_events,
    load_held_streams,
    set_awaited_party,
    try_advisory_lock,
)
from simpul_runtime.metrics import HELD_EVENTS, HELD_OLDEST
from simpul_runtime.outbox_message import OutboxMessage, store_messages
from simpul_runtime.signing import Keys
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transaction, Transactions

POLL_INTERVAL: Final = timedelta(seconds=2)
"""Time between two checks of the held events."""

CLEANUP_INTERVAL: Final = timedelta(minutes=1)
"""How often withheld events are deleted while their recipient still has no key."""

FindWithheld: TypeAlias = Callable[[Transaction, Sequence[HeldEvent]], Awaitable[Collection[UUID]]]
"""Finds the held events that must not be sent any more; returns their ids."""

log = structlog.get_logger()


async def withhold_nothing(_: Transaction, __: Sequence[HeldEvent]) -> Collection[UUID]:
    """Finds no event, for services whose events are never withdrawn."""
    return ()


class HeldEventRelease:
    """Releases held events; one per process, and an advisory lock lets one process of a service work at a time."""

    def __init__(self, transactions: Transactions, keys: Keys) -> None:
        self._transactions = transactions
        self._keys = keys
        self.find_withheld: FindWithheld = withhold_nothing
        self._cleaned_at: datetime | None = None
        self._unreadable: set[UUID] = set()
        self.held: Mapping[str, tuple[int, float]] = {}
        """Party without a key -> number of events that wait for it, age of the oldest in seconds."""

    async def run(self) -> None:
        """Releases events until cancelled."""
        await repeat(self.release_events, POLL_INTERVAL, "held_event_release_failed")

    async def release_events(self) -> int:
        """Releases every event whose keys are usable now; returns how many entered the outbox."""
        async with self._transactions.begin() as transaction:
            waiting = await count_held_events(transaction.connection)
        released = 0
        for party in self._choose_parties(waiting, transaction.now):
            released += await self._release_party(party)
        if waiting:
            async with self._transactions.begin() as transaction:
                waiting = await count_held_events(transaction.connection)
        self._report_held(waiting)
        return released

    def _choose_parties(self, waiting: Iterable[str], now: datetime) -> list[str]:
        """Chooses the parties with a usable key, or all of them when withheld events are due for deletion."""
        if not self._keys.can_sign(now):
            return []
        is_due = self._cleaned_at is None or now - self._cleaned_at >= CLEANUP_INTERVAL
        self._cleaned_at = now if is_due else self._cleaned_at
        return [party for party in waiting if is_due or self._keys.has_usable_key(party, now)]

    async def _release_party(self, party: str) -> int:
        released, after, count = 0, 0, MAX_STREAMS
        while count == MAX_STREAMS:
            async with self._transactions.begin() as transaction:
                if not await try_advisory_lock(transaction.connection):
                    break
                streams = await load_held_streams(transaction.connection, party, after)
                messages = await self._release_streams(transaction, streams)
            count, released = len(streams), released + len(messages)
            firsts = (min(event.position for event in stream if event.waits_for == party) for stream in streams)
            after = max(firsts, default=after)
        if released:
            log.info("held_events_released", party=party, count=released)
        return released

    async def _release_streams(
        self, transaction: Transaction, streams: Sequence[Sequence[HeldEvent]]
    ) -> list[OutboxMessage]:
        released: list[tuple[int, OutboxMessage]] = []
        finished: list[HeldEvent] = []
        for stream, withheld in await self._pair_with_withheld(transaction, streams):
            for index, event in enumerate(stream):
                if event.event_id in withheld:
                    log.info("held_event_withheld", party=event.waits_for, event_id=event.event_id)
                    finished.append(event)
                    continue
                message = await self._build_message(transaction, event, stream[index:])
                if message is None:
                    break
                released.append((event.position, message))
                finished.append(event)
        messages = [message for _, message in sorted(released, key=lambda entry: entry[0])]
        await store_messages(transaction.connection, messages, transaction.now)
        await delete_held_events(transaction.connection, finished)
        transaction.outgoing += messages
        return messages

    async def _pair_with_withheld(
        self, transaction: Transaction, streams: Sequence[Sequence[HeldEvent]]
    ) -> list[tuple[Sequence[HeldEvent], Collection[UUID]]]:
        """Pairs each stream with its withheld events; leaves out streams whose check fails, so that they stay held."""
        try:
            withheld = await self.find_withheld(transaction, [event for stream in streams for event in stream])
        except Exception as error:
            if len(streams) == 1:
                self._log_unreadable(streams[0][0], error)
                return []
            return [pair for stream in streams for pair in await self._pair_with_withheld(transaction, [stream])]
        return [(stream, withheld) for stream in streams]

    def _log_unreadable(self, event: HeldEvent, error: Exception) -> None:
        """Logs an event that cannot be read, once per process."""
        if event.event_id not in self._unreadable:
            self._unreadable.add(event.event_id)
            log.error("held_event_unreadable", party=event.waits_for, event_id=event.event_id, exc_info=error)

    async def _build_message(
        self, transaction: Transaction, event: HeldEvent, rest_of_stream: Sequence[HeldEvent]
    ) -> OutboxMessage | None:
        """Builds the outbox message of a held event; None if the event and the rest of its stream stay held."""
        try:
            unsigned = event.decrypt_event(self._keys)
            without_key = unsigned.find_recipients_without_key(self._keys, transaction.now)
            missing = unsigned.choose_awaited_party(without_key)
            if not missing:
                body = unsigned.build_body(self._keys, transaction.now, without_key)
                return unsigned.to_message(body, self._keys.sign(body, transaction.now), "")
        except Exception as error:
            # A fault of this event must not stop the others.
            self._log_unreadable(event, error)
            return None
        if missing != event.waits_for:
            await set_awaited_party(transaction.connection, missing, rest_of_stream)
        return None

    def _report_held(self, waiting: Mapping[str, tuple[int, float]]) -> None:
        for party in waiting.keys() | self.held.keys():
            count, age = waiting.get(party, (0, 0.0))
            HELD_EVENTS.labels(party).set(count)
            HELD_OLDEST.labels(party).set(age)
            if party not in self.held:
                log.error("events_wait_for_key", party=party, count=count)
            elif party not in waiting:
                log.info("no_events_wait_for_key", party=party)
        self.held = waiting

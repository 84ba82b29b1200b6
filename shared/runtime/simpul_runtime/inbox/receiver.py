"""Stores and handles batches of deliveries, each batch in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.database import is_data_error, utc_now
from simpul_runtime.inbox.dispatcher import Dispatcher
from simpul_runtime.inbox.ordering import Position, group_in_order
from simpul_runtime.inbox.parking import park_message
from simpul_runtime.inbox.storage import find_done_predecessors, insert_events, load_digests
from simpul_runtime.inbox.verification import (
    AcceptedEvent,
    Delivery,
    RejectedDelivery,
    describe_causes,
    verify_delivery,
)
from simpul_runtime.metrics import MESSAGES_HANDLED
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.vocabulary import ParkReason

Verified: TypeAlias = AcceptedEvent | RejectedDelivery
HandleGroup: TypeAlias = Callable[[Transaction, Sequence[AcceptedEvent]], Awaitable[Sequence[AcceptedEvent]]]
"""Handles the events of a group; returns those that were not handled."""

log = structlog.get_logger()


class Receiver:
    """Verifies deliveries, stores each event once, and has new events handled in order."""

    def __init__(self, transactions: Transactions, keys: Keys, dispatcher: Dispatcher, *, in_order: bool) -> None:
        self._transactions = transactions
        self._keys = keys
        self._dispatcher = dispatcher
        self._in_order = in_order

    async def receive(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        """Stores and handles deliveries; returns for each the error that kept it from being stored or parked.

        The first attempt uses no savepoints, because handlers rarely fail. If one fails, the transaction is rolled back
        and the batch is repeated with a savepoint for each group. If a row cannot be stored, each delivery gets a
        transaction of its own, and the faulty one is parked. Other errors are raised: the database is unavailable, and
        the same deliveries can be stored later.
        """
        verified = self.verify_deliveries(deliveries)
        try:
            async with self._transactions.begin() as transaction:
                await self._store_and_handle(transaction, verified, self._dispatcher.handle_group)
        except Exception as error:
            log.info("batch_split", count=len(verified), exc_info=error)
            return await self._receive_guarded(verified)
        return [None] * len(verified)

    def verify_deliveries(self, deliveries: Sequence[Delivery]) -> list[Verified]:
        """Verifies deliveries with the keys that are valid now."""
        now, keys = utc_now(), self._keys.freeze()
        return [verify_delivery(delivery, keys, now) for delivery in deliveries]

    async def receive_again(self, transaction: Transaction, deliveries: Sequence[Delivery]) -> None:
        """Stores and handles replayed messages in a running transaction, with a savepoint for each group."""
        verified = self.verify_deliveries(deliveries)
        await self._store_and_handle(transaction, verified, self._dispatcher.handle_group_guarded)

    async def _receive_guarded(self, verified: Sequence[Verified]) -> list[Exception | None]:
        try:
            async with self._transactions.begin() as transaction:
                await self._store_and_handle(transaction, verified, self._dispatcher.handle_group_guarded)
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(verified) > 1:
                return [outcome for entry in verified for outcome in await self._receive_guarded([entry])]
            return [await self._park_unstorable(verified[0].delivery, error)]
        return [None] * len(verified)

    async def _park_unstorable(self, delivery: Delivery, error: Exception) -> Exception | None:
        """Parks a delivery that cannot be stored; returns the error if it cannot be parked either."""
        log.warning("message_not_storable", exc_info=error)
        try:
            async with self._transactions.begin() as transaction:
                rejected = RejectedDelivery(delivery, ParkReason.UNSTORABLE, describe_causes(error))
                await park_message(transaction.connection, self._keys, rejected)
        except Exception as parking_error:
            if not is_data_error(parking_error):
                raise
            log.error("message_not_parked", exc_info=parking_error)
            return parking_error
        return None

    async def _store_and_handle(
        self, transaction: Transaction, verified: Sequence[Verified], handle_group: HandleGroup
    ) -> None:
        connection = transaction.connection
        accepted = [entry for entry in verified if isinstance(entry, AcceptedEvent)]
        rejected = [entry for entry in verified if isinstance(entry, RejectedDelivery)]
        new, reused = await _store_events(connection, accepted)
        for rejection in (*rejected, *reused):
            await park_message(connection, self._keys, rejection)
        done = await _find_done_predecessors(connection, new) if self._in_order else _list_predecessors(new)
        groups, early = group_in_order(new, done)
        for entry in early:
            await self._dispatcher.keep_waiting(connection, entry)
        await self._handle_groups(transaction, groups, handle_group)

    async def _handle_groups(
        self, transaction: Transaction, groups: Sequence[Sequence[AcceptedEvent]], handle_group: HandleGroup
    ) -> None:
        """Handles groups in order; an event waits if its predecessor in an earlier group was not handled."""
        stopped: set[tuple[str, str]] = set()
        for group in groups:
            for entry in group:
                if entry.stream in stopped:
                    await self._dispatcher.keep_waiting(transaction.connection, entry)
            ready = [entry for entry in group if entry.stream not in stopped]
            failed = await handle_group(transaction, ready) if ready else ()
            if self._in_order:
                stopped |= {entry.stream for entry in failed}


async def _store_events(
    connection: AsyncConnection, accepted: Sequence[AcceptedEvent]
) -> tuple[list[AcceptedEvent], list[RejectedDelivery]]:
    """Stores events; returns the new ones, and rejects those that reuse the id of an event with another body."""
    # A batch may deliver an event twice.
    events = {entry.key: entry for entry in accepted}
    if not events:
        return [], []
    inserted = await insert_events(connection, events.values())
    known = [entry for entry in events.values() if entry.key not in inserted]
    reused = await _reject_reused_ids(connection, known) if known else []
    return [entry for entry in events.values() if entry.key in inserted], reused


async def _reject_reused_ids(connection: AsyncConnection, known: Sequence[AcceptedEvent]) -> list[RejectedDelivery]:
    """Rejects known events whose body differs from the stored one; an identical body is a repeated delivery."""
    MESSAGES_HANDLED.labels("any", "repeated").inc(len(known))
    digests = await load_digests(connection, known)
    return [
        RejectedDelivery(entry.delivery, ParkReason.ID_REUSED, "same id, other content")
        for entry in known
        if digests.get(entry.key) != entry.delivery.digest
    ]


def _list_predecessors(new: Sequence[AcceptedEvent]) -> set[Position]:
    """Lists the predecessors of events, so that none of them waits."""
    return {(entry.stream, entry.event.position - 1) for entry in new}


async def _find_done_predecessors(connection: AsyncConnection, new: Sequence[AcceptedEvent]) -> set[Position]:
    """Finds the predecessors that were handled before this batch."""
    later = [entry for entry in new if entry.event.position > 1]
    if not later:
        return set()
    # The events of this batch are stored as done already; their order is decided afterwards.
    return await find_done_predecessors(connection, later) - {(entry.stream, entry.event.position) for entry in new}

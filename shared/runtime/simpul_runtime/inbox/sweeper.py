"""Handles stored messages that are due: retries, events whose predecessor is done, and replays."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.database import is_data_error
from simpul_runtime.inbox.dispatcher import Dispatcher
from simpul_runtime.inbox.parking import cancel_next_replay, park_message, take_replays
from simpul_runtime.inbox.receiver import Receiver
from simpul_runtime.inbox.storage import (
    StoredEvent,
    decrypt_event,
    delete_event,
    load_due_events,
    mark_done,
    postpone_next,
    postpone_unknown_type,
)
from simpul_runtime.inbox.verification import AcceptedEvent, RejectedDelivery
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import message_class
from simpul_schema.vocabulary import ParkReason

MAX_DUE_TOGETHER: Final = 100
"""Stored messages handled in one transaction."""

log = structlog.get_logger()


class Sweeper:
    """Handles what is due, a page at a time."""

    def __init__(self, transactions: Transactions, keys: Keys, receiver: Receiver, dispatcher: Dispatcher) -> None:
        self._transactions = transactions
        self._keys = keys
        self._receiver = receiver
        self._dispatcher = dispatcher

    async def sweep(self) -> int:
        """Handles due messages; returns how many there were."""
        due = await self._handle_page(self._handle_due, postpone_next)
        return due + await self._handle_page(self._handle_replays, cancel_next_replay)

    async def _handle_page(
        self, handle: Callable[[int], Awaitable[int]], skip_next: Callable[[AsyncConnection], Awaitable[int]]
    ) -> int:
        """Handles a page of messages together, or one by one if one of them cannot be stored."""
        try:
            return await handle(MAX_DUE_TOGETHER)
        except Exception as error:
            if not is_data_error(error):
                raise
            log.info("sweep_split", exc_info=error)
        handled = 0
        while count := await self._handle_next(handle, skip_next):
            handled += count
        return handled

    async def _handle_next(
        self, handle: Callable[[int], Awaitable[int]], skip_next: Callable[[AsyncConnection], Awaitable[int]]
    ) -> int:
        try:
            return await handle(1)
        except Exception as error:
            if not is_data_error(error):
                raise
            log.error("message_postponed", exc_info=error)
        async with self._transactions.begin() as transaction:
            return await skip_next(transaction.connection)

    async def _handle_due(self, limit: int) -> int:
        async with self._transactions.begin() as transaction:
            due = await load_due_events(transaction.connection, limit)
            for stored in due:
                await self._handle_stored(transaction, stored)
        return len(due)

    async def _handle_replays(self, limit: int) -> int:
        async with self._transactions.begin() as transaction:
            replays = await take_replays(transaction.connection, self._keys, limit)
            if replays:
                await self._receiver.receive_again(transaction, replays)
        return len(replays)

    async def _handle_stored(self, transaction: Transaction, stored: StoredEvent) -> None:
        message = message_class(stored.type)
        if message is None:
            # A newer version of the service stored it, and handles it once it is started again.
            log.error("stored_type_unknown", type=stored.type, event_id=stored.event_id)
            await postpone_unknown_type(transaction.connection, stored.key)
            return
        delivery = decrypt_event(stored, self._keys)
        try:
            entry = AcceptedEvent(delivery, message.read_json(delivery.body))
        except ValidationError:
            # It was valid when it was stored, so the contract has changed; an operator has to decide.
            await delete_event(transaction.connection, stored.key)
            rejected = RejectedDelivery(delivery, ParkReason.INVALID, "as stored")
            await park_message(transaction.connection, self._keys, rejected)
            return
        if await self._dispatcher.handle_again(transaction, entry, stored.attempts):
            await mark_done(transaction.connection, stored.key)

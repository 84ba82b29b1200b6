"""Calls the handlers, and decides between retrying and parking when one fails."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.errors import Unprocessable
from simpul_runtime.inbox.parking import park_message
from simpul_runtime.inbox.storage import InboxState, delete_event, keep_event
from simpul_runtime.inbox.verification import AcceptedEvent, RejectedDelivery
from simpul_runtime.metrics import MESSAGES_HANDLED
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.tracing import trace_processing
from simpul_schema.vocabulary import ParkReason

MAX_ATTEMPTS: Final = 10
"""With delays that double from one second to ten minutes the attempts last about half an hour."""

Handler: TypeAlias = Callable[[Transaction, Sequence[Any]], Awaitable[None]]
"""Handles events of one type that were delivered together."""

log = structlog.get_logger()


class Dispatcher:
    """Gives events to the handler of their type."""

    def __init__(self, handlers: Mapping[type[Event], Handler], keys: Keys, request_sweep: Callable[[], None]) -> None:
        """Takes `request_sweep`, which is called when an event is kept for later."""
        self._handlers = {message.WIRE_NAME: handler for message, handler in handlers.items()}
        self._keys = keys
        self._request_sweep = request_sweep

    async def handle_group(self, transaction: Transaction, group: Sequence[AcceptedEvent]) -> Sequence[AcceptedEvent]:
        """Handles events of one type without a savepoint; returns the events that were not handled: none."""
        wire_name = group[0].event.type
        handler = self._handlers.get(wire_name)
        if handler is not None:
            transaction.originals = _originals(group)
            with _trace(group):
                await handler(transaction, [entry.event for entry in group])
                # The next group may continue the same streams, and must read what this one wrote.
                await transaction.flush()
        outcome = MESSAGES_HANDLED.labels(wire_name, "ignored" if handler is None else "done")
        transaction.after_commit.append(partial(outcome.inc, len(group)))
        return ()

    async def handle_group_guarded(
        self, transaction: Transaction, group: Sequence[AcceptedEvent]
    ) -> Sequence[AcceptedEvent]:
        """Handles events in a savepoint, or each in its own if that fails; returns the events that were not handled."""
        try:
            async with transaction.savepoint():
                await self.handle_group(transaction, group)
        except Exception as error:
            if len(group) > 1:
                return [left for entry in group for left in await self.handle_group_guarded(transaction, [entry])]
            await self.settle_failure(transaction.connection, group[0], error, attempts=0)
            return group
        return ()

    async def handle_again(self, transaction: Transaction, entry: AcceptedEvent, attempts: int) -> bool:
        """Handles a stored event in a savepoint; returns whether it succeeded."""
        handler = self._handlers.get(entry.event.type)
        try:
            # The savepoint writes what the handler enqueued.
            with _trace([entry]):
                async with transaction.savepoint():
                    if handler is not None:
                        transaction.originals = _originals([entry])
                        await handler(transaction, [entry.event])
        except Exception as error:
            await self.settle_failure(transaction.connection, entry, error, attempts=attempts)
            return False
        MESSAGES_HANDLED.labels(entry.event.type, "done").inc()
        return True

    async def settle_failure(
        self, connection: AsyncConnection, entry: AcceptedEvent, error: Exception, *, attempts: int
    ) -> None:
        """Parks an event that can never work or has no attempt left; keeps another one for its next attempt."""
        event = entry.event
        if isinstance(error, Unprocessable):
            rejected = RejectedDelivery(entry.delivery, error.reason, error.detail)
        elif attempts + 1 >= MAX_ATTEMPTS:
            rejected = RejectedDelivery(entry.delivery, ParkReason.ATTEMPTS_EXHAUSTED, type(error).__name__)
        else:
            log.warning("message_failed", type=event.type, event_id=event.id, attempts=attempts + 1, exc_info=error)
            MESSAGES_HANDLED.labels(event.type, "retrying").inc()
            await keep_event(connection, self._keys, entry, InboxState.RETRYING, type(error).__name__, attempts + 1)
            self._request_sweep()
            return
        await delete_event(connection, entry.key)
        await park_message(connection, self._keys, rejected)

    async def keep_waiting(self, connection: AsyncConnection, entry: AcceptedEvent) -> None:
        """Keeps an event until its predecessor is done."""
        await keep_event(connection, self._keys, entry, InboxState.WAITING_FOR_PREDECESSOR, "predecessor", 0)
        self._request_sweep()


def _trace(group: Sequence[AcceptedEvent]) -> AbstractContextManager[None]:
    """Traces the handling of a group; what an agency chose as its routing key is not part of a trace."""
    destination = group[0].delivery.exchange or "inbox"
    return trace_processing([one.event for one in group], [one.delivery.traceparent for one in group], destination)


def _originals(group: Sequence[AcceptedEvent]) -> dict[UUID, tuple[bytes, str]]:
    return {entry.event.id: (entry.delivery.body, entry.delivery.signature) for entry in group}

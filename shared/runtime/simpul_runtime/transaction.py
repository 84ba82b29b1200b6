"""A unit of work: rows and events are collected, flushed in bulk and committed together."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now
from simpul_runtime.outbox import Outbox, OutgoingEvent
from simpul_runtime.outbox_message import OutboxMessage, store_messages


@dataclass
class Transaction:
    """The transaction of a use case; what it collects is written when the use case returns."""

    connection: AsyncConnection
    now: datetime
    outbox: Outbox
    _rows: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)
    _events: list[OutgoingEvent] = field(default_factory=list)
    _audit: list[AuditEntry] = field(default_factory=list)
    outgoing: list[OutboxMessage] = field(default_factory=list)
    """Messages that are published after the commit."""
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    """Called after the commit; dropped if the savepoint that added them is rolled back."""
    originals: Mapping[UUID, tuple[bytes, str]] = field(default_factory=dict)
    """Body and signature of each event that is being handled, for whoever passes it on unchanged."""

    def add_row(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """Adds a row, which is inserted at the next flush together with the others of its table."""
        self._rows.setdefault(table.__table__, []).append(row)  # type: ignore[attr-defined]  # set by SQLModel

    def enqueue_event(self, event: OutgoingEvent) -> None:
        """Adds an event, which enters the outbox at the next flush."""
        self._events.append(event)

    async def forward(self, messages: Sequence[OutboxMessage]) -> None:
        """Stores messages that another party has signed, to publish them unchanged after the commit."""
        await store_messages(self.connection, messages, self.now)
        self.outgoing += messages

    def record(self, entry: AuditEntry) -> None:
        """Adds an entry to the audit; all entries of the transaction are written together before the commit."""
        self._audit.append(entry)

    async def write_audit(self) -> None:
        """Writes the entries; must be the last statement, because it locks the head of the audit until the commit."""
        entries, self._audit = self._audit, []
        await append_entries(self.connection, entries, self.now)

    async def flush(self) -> None:
        """Writes the collected rows, one statement for each table, then the events."""
        rows, self._rows = self._rows, {}
        events, self._events = self._events, []
        for table, values in rows.items():
            await self.connection.execute(insert(table), values)
        if events:
            self.outgoing += await self.outbox.enqueue(self.connection, events, self.now)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Runs the block in a savepoint; if it raises, only what the block did is undone."""
        enqueued, hooked, recorded = len(self.outgoing), len(self.after_commit), len(self._audit)
        try:
            async with self.connection.begin_nested():
                yield
                await self.flush()
        except BaseException:
            self._rows, self._events = {}, []
            del self.outgoing[enqueued:], self.after_commit[hooked:], self._audit[recorded:]
            raise


class Transactions:
    """Opens transactions, and passes their outbox messages to the relay after the commit."""

    def __init__(
        self, engine: AsyncEngine, outbox: Outbox, publish_soon: Callable[[Sequence[OutboxMessage]], None]
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._publish_soon = publish_soon

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Opens a transaction that is flushed and committed when the block ends without an error."""
        async with self._engine.begin() as connection:
            transaction = Transaction(connection, utc_now(), self._outbox)
            yield transaction
            await transaction.flush()
            await transaction.write_audit()
        if transaction.outgoing:
            self._publish_soon(transaction.outgoing)
        for call in transaction.after_commit:
            call()

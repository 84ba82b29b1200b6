"""One unit of work: rows to write and events to announce, flushed in bulk, committed together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

from simpul_runtime.database import utc_now
from simpul_runtime.held import OutboxRow
from simpul_runtime.outbox import Announcement, Outbox


@dataclass
class Transaction:
    """Handed to every use case; what it collects is written when the use case returns."""

    connection: AsyncConnection
    now: datetime
    outbox: Outbox
    _rows: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)
    _announcements: list[Announcement] = field(default_factory=list)
    outgoing: list[OutboxRow] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    """Called once everything is durable; dropped when the savepoint that added them is rolled back."""

    def add(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """Insert a row at the end of the use case, together with the others of its table."""
        self._rows.setdefault(table.__table__, []).append(row)  # type: ignore[attr-defined]  # set by SQLModel

    def announce(self, announcement: Announcement) -> None:
        """Write an event into the outbox at the end of the use case."""
        self._announcements.append(announcement)

    async def flush(self) -> None:
        """One statement for each table, then the outbox."""
        rows, self._rows = self._rows, {}
        announcements, self._announcements = self._announcements, []
        for table, values in rows.items():
            await self.connection.execute(insert(table), values)
        if announcements:
            self.outgoing += await self.outbox.write(self.connection, announcements, self.now)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Everything inside happens or nothing does; the rest of the transaction goes on."""
        sent, hooked = len(self.outgoing), len(self.after_commit)
        try:
            async with self.connection.begin_nested():
                yield
                await self.flush()
        except BaseException:
            self._rows, self._announcements = {}, []
            del self.outgoing[sent:], self.after_commit[hooked:]
            raise


class Transactions:
    """Opens transactions and hands what they announced to the relay once they are committed."""

    def __init__(self, engine: AsyncEngine, outbox: Outbox, hand_over: Callable[[Sequence[OutboxRow]], None]) -> None:
        self._engine = engine
        self._outbox = outbox
        self._hand_over = hand_over

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction, flushed and committed when the block ends without an error."""
        async with self._engine.begin() as connection:
            transaction = Transaction(connection, utc_now(), self._outbox)
            yield transaction
            await transaction.flush()
        if transaction.outgoing:
            self._hand_over(transaction.outgoing)
        for call in transaction.after_commit:
            call()

"""Transactions on accounts, with what the audit says about them; accounts publish no events."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_desk.access.audit import account_of
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now


@dataclass
class Transaction:
    """One transaction."""

    connection: AsyncConnection
    entries: list[AuditEntry] = field(default_factory=list)

    def record(self, entry: AuditEntry) -> None:
        """Adds an entry to the audit, which is written before the commit."""
        self.entries.append(entry)


class Transactions:
    """Opens transactions."""

    def __init__(self, engine: AsyncEngine, on_change: Callable[[UUID], None] = lambda _: None) -> None:
        """Takes what is called after a commit for each account that the audit names in it."""
        self._engine = engine
        self._on_change = on_change

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Opens a transaction that is committed when the block ends without an error."""
        async with self._engine.begin() as connection:
            transaction = Transaction(connection)
            yield transaction
            # Last, because it locks the head of the audit until the commit.
            await append_entries(connection, transaction.entries, utc_now())
        for account_id in filter(None, map(account_of, transaction.entries)):
            self._on_change(account_id)

"""Reads through the API: each is recorded in the audit, in its own transaction, and so is one that was refused."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.errors import CaseUnknown
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now

RecordedRead: TypeAlias = Callable[..., AbstractAsyncContextManager[AsyncConnection]]


def record_reads(engine: AsyncEngine) -> RecordedRead:
    """Returns what opens a connection for one read of a person."""

    @asynccontextmanager
    async def recorded(by: Actor, action: ApiAction, subject: str = "") -> AsyncIterator[AsyncConnection]:
        entry = AuditEntry(f"api.{action.value}", subject, by.code, by.role.value, by.agency)
        try:
            async with engine.begin() as connection:
                yield connection
                await append_entries(connection, [entry], utc_now())
        except CaseUnknown:
            # Whoever looks for a case that is not theirs leaves a trace too.
            refused = AuditEntry(entry.action, subject, by.code, entry.role, f"{by.agency}:refused")
            async with engine.begin() as connection:
                await append_entries(connection, [refused], utc_now())
            raise

    return recorded

"""One moment of several databases.

A snapshot of each database at another time could show an event in a receiver that its sender does not know yet; the
sender would then give the event's number to another event. So no event may be written while the snapshots are taken:
a SHARE lock on each outbox makes writers wait, for milliseconds, and lets readers pass. An event is published only
after it was written, so whatever a receiver shows in its snapshot, its sender shows too. The opposite, an event that a
sender has published and a receiver does not show, is on its way, and reconciliation after a restore publishes it again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from simpul_cli.backup.errors import BackupRefused
from simpul_cli.backup.state import read_state

LOCK_TIMEOUT: Final = 3.0
"""Seconds for which a long transaction may delay the snapshots, and the writers behind them."""
ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database as it is dumped."""

    exported_id: str
    """What `pg_dump --snapshot` takes."""
    taken_at: datetime
    revision: str
    state: Mapping[str, str]


@asynccontextmanager
async def hold_snapshots(databases: Mapping[str, str]) -> AsyncIterator[dict[str, Snapshot]]:
    """Takes a snapshot of each service's database at one moment, and holds all of them while the block runs.

    Raises BackupRefused while other transactions keep an outbox locked.
    """
    async with AsyncExitStack() as stack:
        holders = {service: await stack.enter_async_context(_connect(url)) for service, url in databases.items()}
        exported = await _export_together(databases, holders)
        yield {
            service: Snapshot(
                exported[service],
                await holder.fetchval("SELECT now()"),
                await holder.fetchval("SELECT version_num FROM alembic_version"),
                await read_state(holder, service),
            )
            for service, holder in holders.items()
        }


async def _export_together(databases: Mapping[str, str], holders: Mapping[str, Any]) -> dict[str, str]:
    for _attempt in range(ATTEMPTS):
        async with AsyncExitStack() as stack:
            lockers = [await stack.enter_async_context(_connect(url)) for url in databases.values()]
            try:
                for locker in lockers:
                    await locker.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'")
                    await locker.execute("LOCK TABLE outbox IN SHARE MODE")
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(1)
                continue
            # The first statement of each of these transactions takes its snapshot, now that nothing is written.
            return {
                service: str(await holder.fetchval("SELECT pg_export_snapshot()"))
                for service, holder in holders.items()
            }
    msg = "a transaction keeps an outbox locked; `simpul doctor` names its service. No backup was made"
    raise BackupRefused(msg)


@asynccontextmanager
async def _connect(url: str) -> AsyncIterator[Any]:
    """Opens a transaction that is rolled back at the end."""
    connection: Any = await asyncpg.connect(url)
    try:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()

"""Reads the revision of a store and serialises upgrades."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import Connection, inspect, text

REVISIONS: Final = (
    "20261124_start",
    "20261126_glossary",
    "20261126_signatures",
    "20261126_services",
    "20261205_witnessed_heads",
    "20261206_acknowledgements",
)
"""The revisions that this program knows, the oldest first; a store without a revision has the first."""
NEWEST: Final = REVISIONS[-1]
VERSION_TABLE: Final = "simpul_store_version"
"""Not Alembic's usual name: an agency's own program may use Alembic in the same database."""

_VERSION: Final = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - our own name
# Alembic keeps the running migration in module globals.
_alembic_lock: Final = threading.Lock()


class StoreNewer(Exception):
    """A newer version of the kit has upgraded the store; the message says what to do."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the store has version {version}, which is newer than this program's {NEWEST}: install the version of "
            "simpul-agency that upgraded it (pip install --upgrade simpul-agency); nothing was changed"
        )


def read_version(connection: Connection) -> str:
    """Returns the store's revision, empty when it has no tables; raises StoreNewer for an unknown revision."""
    tables = inspect(connection)
    if not tables.has_table(VERSION_TABLE):
        return REVISIONS[0] if tables.has_table("received") else ""
    version = str(connection.scalar(_VERSION) or "")
    if version and version not in REVISIONS:
        raise StoreNewer(version)
    return version


@asynccontextmanager
async def one_upgrade_at_a_time() -> AsyncIterator[None]:
    """Serialises the upgrades of this process; the database keeps other processes out."""
    while not _alembic_lock.acquire(blocking=False):  # noqa: ASYNC110 - shared by threads and event loops
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _alembic_lock.release()

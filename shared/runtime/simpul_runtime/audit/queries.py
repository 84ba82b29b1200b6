"""Reads the audit: by filter, a page at a time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.audit.entries import StoredEntry
from simpul_runtime.tables import MESSAGING

AUDIT: Final[Table] = MESSAGING.tables["audit"]
_COLUMNS: Final = tuple(AUDIT.c[name] for name in StoredEntry.__dataclass_fields__)
PAGE: Final = 5_000
"""Entries loaded together when all are read."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; an empty value matches all."""

    actor: str = ""
    action: str = ""
    """A code, or the start of codes with a dot at its end, such as `case.`."""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""

    def conditions(self) -> Any:
        """Returns the condition in SQL."""
        columns = AUDIT.c
        found = [columns[name] == value for name in ("actor", "subject") if (value := getattr(self, name))]
        if self.action:
            is_prefix = self.action.endswith(".")
            found.append(
                columns.action.startswith(self.action, autoescape=True) if is_prefix else columns.action == self.action
            )
        found += [columns.at >= self.since] if self.since else []
        found += [columns.at < self.until] if self.until else []
        return and_(True, *found)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of entries, the oldest first."""

    entries: list[StoredEntry]
    total: int
    """How many entries the filter matches in all."""
    next_after: int
    """The position after which the next page starts; 0 after the last page."""


async def find_entries(connection: AsyncConnection, wanted: AuditFilter, *, after: int = 0, limit: int) -> AuditPage:
    """Finds the entries that the filter matches after a position."""
    total = (await connection.execute(select(func.count()).select_from(AUDIT).where(wanted.conditions()))).scalar_one()
    entries = await _load(connection, wanted, after, limit + 1)
    has_more = len(entries) > limit
    shown = entries[:limit]
    return AuditPage(shown, int(total), shown[-1].position if has_more else 0)


async def stream_entries(connection: AsyncConnection, wanted: AuditFilter) -> AsyncIterator[StoredEntry]:
    """Yields the entries that the filter matches, the oldest first; loads a page at a time."""
    after = -(2**62)
    while entries := await _load(connection, wanted, after, PAGE):
        for entry in entries:
            yield entry
        after = entries[-1].position


async def _load(connection: AsyncConnection, wanted: AuditFilter, after: int, limit: int) -> list[StoredEntry]:
    found = await connection.execute(
        select(*_COLUMNS).where(AUDIT.c.position > after, wanted.conditions()).order_by(AUDIT.c.position).limit(limit)
    )
    return [StoredEntry(*row) for row in found]

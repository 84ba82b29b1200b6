"""Absences and shifts that leads entered at the desk."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_notify.domain.duty import Period, Shift
from simpul_notify.domain.roster_changes import ChangeKind, RosterChange
from simpul_notify.tables import RosterChangeRow
from simpul_runtime.transaction import Transaction

# Two leads, each of whom leaves somebody on duty, must not leave nobody together.
_LOCK = text("LOCK TABLE roster_change IN SHARE ROW EXCLUSIVE MODE")
_FIND = text("""
    SELECT change_id, party, kind, responder, starts_at, ends_at FROM roster_change WHERE ends_at > :now
    ORDER BY added_at, starts_at, change_id
""")
_REMOVE = text("DELETE FROM roster_change WHERE change_id = :change_id")
_DELETE = text("DELETE FROM roster_change WHERE ends_at < :before")


async def lock_changes(transaction: Transaction) -> None:
    """Waits until no other transaction changes the rosters, and lets none begin until this one ends."""
    await transaction.connection.execute(_LOCK)


async def find_changes(connection: AsyncConnection, now: datetime) -> list[RosterChange]:
    """Finds all that are not over, in the order in which they were entered; kinds of a later version are left out."""
    return [
        RosterChange(
            row.change_id, row.party, ChangeKind(row.kind), Shift(row.responder, Period(row.starts_at, row.ends_at))
        )
        for row in await connection.execute(_FIND, {"now": now})
        if row.kind in list(ChangeKind)
    ]


def add_changes(transaction: Transaction, changes: Sequence[RosterChange], person: UUID) -> None:
    """Adds entries of one person."""
    for change in changes:
        transaction.add_row(
            RosterChangeRow,
            {
                "change_id": change.change_id,
                "party": change.party,
                "kind": change.kind.value,
                "responder": change.shift.responder,
                "starts_at": change.shift.period.start,
                "ends_at": change.shift.period.end,
                "added_by": person,
                "added_at": transaction.now,
            },
        )


async def remove_change(transaction: Transaction, change_id: UUID) -> None:
    """Removes an entry."""
    await transaction.connection.execute(_REMOVE, {"change_id": change_id})


async def delete_ended_changes(transaction: Transaction, before: datetime) -> None:
    """Deletes what ended before a moment."""
    await transaction.connection.execute(_DELETE, {"before": before})

"""Cases for which something is done once after an upgrade; each leaves the table when it is done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text

from simpul_runtime.transaction import Transaction

_POSTPONE: Final = text("UPDATE earlier_disclosure SET due_at = :due_at WHERE case_id = :case_id")
_TAKE: Final = text("DELETE FROM earlier_disclosure WHERE case_id = :case_id RETURNING case_id")
_FIND: Final = text("SELECT case_id FROM earlier_disclosure WHERE due_at <= :now ORDER BY due_at, case_id LIMIT :limit")


async def find_earlier_disclosures(transaction: Transaction, now: datetime, limit: int) -> Sequence[UUID]:
    """Finds cases that nobody has decided about yet, those that wait longest first."""
    return list((await transaction.connection.execute(_FIND, {"now": now, "limit": limit})).scalars())


async def take_earlier_disclosure(transaction: Transaction, case_id: UUID) -> bool:
    """Takes a case off the list; returns whether it was still on it."""
    return (await transaction.connection.execute(_TAKE, {"case_id": case_id})).scalar() is not None


async def postpone_earlier_disclosure(transaction: Transaction, case_id: UUID, due_at: datetime) -> None:
    """Tries a case again later."""
    await transaction.connection.execute(_POSTPONE, {"case_id": case_id, "due_at": due_at})

"""Cases that may be about the same child."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

from simpul_routing.repository.access import Scope, in_scope, scope_parameters
from simpul_runtime.transaction import Transaction

_RECORD = text("""
    INSERT INTO suspected_overlap (overlap_id, case_id, other_case_id, is_likely, suspected_at)
    VALUES (:overlap_id, :case_id, :other_case_id, :is_likely, :suspected_at)
    ON CONFLICT (overlap_id) DO UPDATE SET is_likely = suspected_overlap.is_likely OR excluded.is_likely
""")
# What was merged into another case, or never should have been entered, is settled.
_SETTLED = "(c.merged_into IS NOT NULL OR c.state = 'entered_in_error')"
_OPEN = f"""
    o.dismissed_at IS NULL AND NOT EXISTS (
        SELECT FROM case_plan c WHERE c.case_id IN (o.case_id, o.other_case_id) AND {_SETTLED})
"""
_IN_SCOPE = in_scope("o.case_id", "o.other_case_id")
_OF_CASE = text(f"""
    SELECT o.overlap_id, CASE WHEN o.case_id = :case_id THEN o.other_case_id ELSE o.case_id END AS case_id,
        o.is_likely, o.suspected_at, o.dismissed_at, o.dismissed_by, o.note, {_OPEN} AS is_open
    FROM suspected_overlap o WHERE (o.case_id = :case_id OR o.other_case_id = :case_id) AND {_IN_SCOPE}
    ORDER BY is_open DESC, o.is_likely DESC, o.suspected_at, o.overlap_id
""").bindparams(bindparam("case_id", type_=Uuid), *scope_parameters())  # noqa: S608 - built from constants
_LIST = text(f"""
    SELECT o.overlap_id, o.case_id, o.other_case_id, o.is_likely, o.suspected_at FROM suspected_overlap o
    WHERE (o.suspected_at, o.overlap_id) > (:suspected_at, :overlap_id) AND {_OPEN} AND {_IN_SCOPE}
    ORDER BY o.suspected_at, o.overlap_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("suspected_at", type_=DateTime(timezone=True)), bindparam("overlap_id", type_=Uuid), *scope_parameters()
)
_COUNT = text(f"SELECT count(*) FROM suspected_overlap o WHERE {_OPEN} AND {_IN_SCOPE}").bindparams(  # noqa: S608 - built from constants
    *scope_parameters()
)
_DISMISS = text("""
    UPDATE suspected_overlap SET dismissed_at = :now, dismissed_by = :by, note = :note
    WHERE overlap_id = :overlap_id AND dismissed_at IS NULL
        AND (case_id = :case_id OR other_case_id = :case_id) RETURNING case_id, other_case_id
""").bindparams(bindparam("case_id", type_=Uuid))


async def record_overlaps(transaction: Transaction, overlaps: Sequence[Mapping[str, Any]]) -> None:
    """Stores suspected overlaps; a known one may become likely, and what was dismissed stays dismissed."""
    await transaction.connection.execute(_RECORD, overlaps)


async def list_overlaps_of_case(connection: AsyncConnection, case_id: UUID, scope: Scope) -> list[Mapping[str, Any]]:
    """Lists the overlaps of a case with the other case: open ones first, and likely ones before others."""
    return [row._asdict() for row in await connection.execute(_OF_CASE, {"case_id": case_id} | scope.bind())]


async def list_open_overlaps(
    connection: AsyncConnection, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> list[Mapping[str, Any]]:
    """Lists open overlaps after a cursor, the oldest first."""
    suspected_at, overlap_id = after
    values = {"suspected_at": suspected_at, "overlap_id": overlap_id, "limit": limit} | scope.bind()
    return [row._asdict() for row in await connection.execute(_LIST, values)]


async def count_open_overlaps(connection: AsyncConnection, scope: Scope) -> int:
    """Counts the open overlaps."""
    counted: int = (await connection.execute(_COUNT, scope.bind())).scalar_one()
    return counted


async def dismiss_overlap(
    transaction: Transaction, case_id: UUID, overlap_id: UUID, *, by: str, note: bytes
) -> tuple[UUID, UUID] | None:
    """Dismisses an open overlap of a case; returns both cases, or None when the case has no such overlap."""
    values = {"case_id": case_id, "overlap_id": overlap_id, "by": by, "note": note, "now": transaction.now}
    row = (await transaction.connection.execute(_DISMISS, values)).one_or_none()
    return (row.case_id, row.other_case_id) if row else None

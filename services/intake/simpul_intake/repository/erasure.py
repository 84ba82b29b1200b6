"""Erasing cases, legal holds and what remains of an erased case."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from simpul_intake.erasure import ErasedCase, Erasure, ErasureReason, Holder, HoldReason, LegalHold, VaultAction
from simpul_intake.tables import (
    ErasedCaseRow,
    ErasureHolderRow,
    LegalHoldRow,
    RetiredMasterKeyRow,
    UnannouncedErasureRow,
    VaultActionRow,
)

_CASES_OF_CHILD = text("""
    WITH root AS (
        SELECT coalesce((SELECT merged_into FROM case_end WHERE case_id = :case_id), :case_id) AS case_id
    )
    SELECT case_id FROM root UNION SELECT e.case_id FROM case_end e JOIN root ON e.merged_into = root.case_id
    UNION SELECT CAST(:case_id AS uuid)
""").bindparams(bindparam("case_id", type_=Uuid))
_LOCK = text("""
    SELECT case_id, key_id FROM case_key WHERE case_id = ANY(:case_ids) ORDER BY case_id FOR UPDATE
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
_HOLDS = text("""
    SELECT case_id, reason, reference, placed_by, placed_at FROM legal_hold
    WHERE :everything OR case_id = ANY(:case_ids) ORDER BY placed_at, case_id
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
_IS_SENDING = text("""
    SELECT EXISTS (SELECT FROM outbox WHERE correlation_id = :case_id AND published_at IS NULL)
        OR EXISTS (SELECT FROM held_event WHERE case_id = :case_id)
""")
_COUNT_SECTIONS = text("""
    SELECT name, count(*) FROM section WHERE case_id = :case_id GROUP BY name
    UNION ALL SELECT 'files', count(*) FROM reporter_file WHERE case_id = :case_id HAVING count(*) > 0
    UNION ALL SELECT 'notes', count(*) FROM dossier_note WHERE case_id = :case_id HAVING count(*) > 0 ORDER BY name
""")
_ERASE: Final = (
    text("DELETE FROM section WHERE case_id = :case_id"),
    text("DELETE FROM reporter_question WHERE case_id = :case_id"),
    text("DELETE FROM reporter_file WHERE case_id = :case_id"),
    text("DELETE FROM dossier_note WHERE case_id = :case_id"),
    text("DELETE FROM excluded_agency WHERE case_id = :case_id"),
    text("DELETE FROM cleared_agency WHERE case_id = :case_id"),
    text("DELETE FROM recorded_end WHERE case_id = :case_id"),
    text("DELETE FROM case_key WHERE case_id = :case_id"),
    text("DELETE FROM amendment WHERE case_id = :case_id"),
    text("DELETE FROM outbox WHERE correlation_id = :case_id"),
    # The row stays, so that the report cannot open a case again; without its digest no report matches it.
    text("UPDATE report SET content_mac = '' WHERE case_id = :case_id"),
)
_ERASED = text("""
    SELECT e.reason, e.erased_by, e.erased_at, e.key_id, e.sections, r.retired_at
    FROM erased_case e LEFT JOIN retired_master_key r USING (key_id) WHERE e.case_id = :case_id
""")
_HOLDERS = text("""
    SELECT holder, confirmed_at, confirmed_by FROM erasure_holder WHERE case_id = :case_id
    ORDER BY confirmed_at, holder
""")
_CONFIRM = text("""
    UPDATE erasure_holder SET confirmed_at = :now, confirmed_by = :actor
    WHERE case_id = :case_id AND holder = :holder AND confirmed_at IS NULL
""")
_TAKE_UNANNOUNCED: Final = text("""
    WITH oldest AS MATERIALIZED (
        SELECT case_id, is_whole_case, erased_at FROM unannounced_erasure
        ORDER BY erased_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    DELETE FROM unannounced_erasure u USING oldest o
    WHERE u.case_id = o.case_id AND u.is_whole_case = o.is_whole_case AND u.erased_at = o.erased_at
    RETURNING u.case_id, u.is_whole_case, u.sections, u.erased_at
""")


async def list_cases_of_child(connection: AsyncConnection, case_id: UUID) -> list[UUID]:
    """Lists a case together with those that were merged into it, or with it into another."""
    return list((await connection.execute(_CASES_OF_CHILD, {"case_id": case_id})).scalars())


async def lock_case_keys(connection: AsyncConnection, case_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Locks the keys of cases until the transaction ends; returns the master key of each that is not erased."""
    return {row.case_id: row.key_id for row in await connection.execute(_LOCK, {"case_ids": list(case_ids)})}


async def find_holds(connection: AsyncConnection, case_ids: Sequence[UUID] | None = None) -> list[LegalHold]:
    """Finds the legal holds of these cases, or of all."""
    rows = await connection.execute(_HOLDS, {"everything": case_ids is None, "case_ids": list(case_ids or ())})
    return [LegalHold(row.case_id, HoldReason(row.reason), *row[2:]) for row in rows]


async def add_hold(connection: AsyncConnection, hold: LegalHold) -> bool:
    """Stores a legal hold; returns False when the case has the same one already."""
    row = {
        "case_id": hold.case_id,
        "reason": hold.reason.value,
        "reference": hold.reference,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at,
    }
    return (await connection.execute(insert(LegalHoldRow).values(row).on_conflict_do_nothing())).rowcount > 0


async def delete_hold(connection: AsyncConnection, case_id: UUID, reason: HoldReason, reference: str) -> bool:
    """Deletes a legal hold; returns False when the case has no such one."""
    deleted = await connection.execute(
        text("DELETE FROM legal_hold WHERE case_id = :case_id AND reason = :reason AND reference = :reference"),
        {"case_id": case_id, "reason": reason.value, "reference": reference},
    )
    return deleted.rowcount > 0


async def is_sending(connection: AsyncConnection, case_id: UUID) -> bool:
    """Returns whether events of a case wait to be published."""
    return bool((await connection.execute(_IS_SENDING, {"case_id": case_id})).scalar_one())


async def count_sections(connection: AsyncConnection, case_id: UUID) -> dict[str, int]:
    """Counts the revisions of each section of a case."""
    return {name: int(count) for name, count in await connection.execute(_COUNT_SECTIONS, {"case_id": case_id})}


async def erase_case(connection: AsyncConnection, erased: ErasedCase) -> None:
    """Deletes a case's data key and everything encrypted under it, and stores what remains."""
    for statement in _ERASE:
        await connection.execute(statement, {"case_id": erased.case_id})
    row = {
        "case_id": erased.case_id,
        "reason": erased.reason.value,
        "erased_by": erased.erased_by,
        "erased_at": erased.erased_at,
        "key_id": erased.key_id,
        "sections": dict(erased.sections),
    }
    await connection.execute(insert(ErasedCaseRow).values(row))
    holders = [
        {
            "case_id": erased.case_id,
            "holder": holder.name,
            "confirmed_at": holder.confirmed_at,
            "confirmed_by": holder.confirmed_by,
        }
        for holder in erased.holders
    ]
    await connection.execute(insert(ErasureHolderRow).values(holders))


async def find_erased_case(connection: AsyncConnection, case_id: UUID) -> ErasedCase | None:
    """Loads what remains of an erased case; None when no such case was erased."""
    row = (await connection.execute(_ERASED, {"case_id": case_id})).one_or_none()
    if row is None:
        return None
    holders = [Holder(*holder) for holder in await connection.execute(_HOLDERS, {"case_id": case_id})]
    return ErasedCase(
        case_id,
        ErasureReason(row.reason),
        row.erased_by,
        row.erased_at,
        row.key_id,
        row.sections,
        holders,
        row.retired_at,
    )


async def add_unannounced_erasure(connection: AsyncConnection, erasure: Erasure) -> None:
    """Stores what is still to be announced to the other services; whoever erases need not be able to sign."""
    row = {
        "case_id": erasure.case_id,
        "is_whole_case": erasure.is_whole_case,
        "sections": list(erasure.sections),
        "erased_at": erasure.erased_at,
    }
    await connection.execute(insert(UnannouncedErasureRow).values(row))


async def take_unannounced_erasures(connection: AsyncConnection, limit: int) -> list[Erasure]:
    """Takes erasures that are still to be announced, the oldest first."""
    rows = await connection.execute(_TAKE_UNANNOUNCED, {"limit": limit})
    return sorted((Erasure(*row) for row in rows), key=lambda one: one.erased_at)


async def confirm_erasure(connection: AsyncConnection, case_id: UUID, holder: Holder) -> bool:
    """Stores a holder's confirmation; returns False when it does not hold the case or has confirmed before."""
    parameters = {
        "case_id": case_id,
        "holder": holder.name,
        "now": holder.confirmed_at,
        "actor": holder.confirmed_by,
    }
    return (await connection.execute(_CONFIRM, parameters)).rowcount > 0


async def add_action(
    connection: AsyncConnection, case_id: UUID, action: VaultAction, detail: str, actor: str, now: datetime
) -> None:
    """Records what was done, or refused, to a case."""
    row = {"case_id": case_id, "action": action.value, "detail": detail, "actor": actor, "at": now}
    await connection.execute(insert(VaultActionRow).values(row))


async def retire_master_key(connection: AsyncConnection, key_id: str, actor: str, now: datetime) -> None:
    """Records that a master key was taken out of use."""
    row = {"key_id": key_id, "retired_by": actor, "retired_at": now}
    await connection.execute(insert(RetiredMasterKeyRow).values(row).on_conflict_do_nothing())

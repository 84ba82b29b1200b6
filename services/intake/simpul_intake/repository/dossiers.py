"""What agencies may hold of dossiers, what they hold, and what they have deleted."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_intake.dossier import Disclosure, HeldSection, OverdueDeletion
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import DisclosureBasis, DossierSection

_MOMENT: Final = DateTime(timezone=True)
_DECIDE: Final = text("""
    INSERT INTO disclosure (referral_id, case_id, agency, sequence, sections, bases, is_suspected, cleared_namings,
        due_at)
    VALUES (:referral_id, :case_id, :agency, :sequence, :sections, :bases, :is_suspected, :cleared_namings, :now)
    ON CONFLICT (referral_id) DO UPDATE SET sequence = excluded.sequence, sections = excluded.sections,
        bases = excluded.bases, basis = NULL, is_suspected = excluded.is_suspected,
        cleared_namings = excluded.cleared_namings, due_at = excluded.due_at
    WHERE disclosure.sequence < excluded.sequence
""").bindparams(
    bindparam("sections", type_=ARRAY(Text)), bindparam("bases", type_=ARRAY(Text)), bindparam("now", type_=_MOMENT)
)
_DUE_CASES: Final = text("""
    SELECT case_id FROM disclosure WHERE due_at <= :now GROUP BY case_id ORDER BY min(due_at) LIMIT :limit
""").bindparams(bindparam("now", type_=_MOMENT))
# A process of the version before 2026-11-29 may still write while the database is upgraded. It knows `basis` alone, and
# leaves in `bases` what was there.
_LOCK_DUE: Final = text("""
    SELECT referral_id, case_id, agency, sections, is_suspected, cleared_namings, CASE WHEN basis IS NOT NULL
        THEN array_fill(basis, ARRAY[cardinality(sections)])
        WHEN cardinality(bases) = cardinality(sections) THEN bases ELSE '{}' END AS bases FROM disclosure
    WHERE case_id = :case_id AND due_at <= :now ORDER BY referral_id FOR UPDATE
""").bindparams(bindparam("now", type_=_MOMENT))
_HELD: Final = text("""
    SELECT referral_id, section, revision, digest, withdrawal_id IS NOT NULL FROM held_section
    WHERE referral_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_SETTLE: Final = text("UPDATE disclosure SET due_at = NULL WHERE referral_id = :referral_id")
_MARK_DUE: Final = text("""
    WITH root AS (SELECT coalesce((SELECT merged_into FROM case_end WHERE case_id = :case_id), :case_id) AS case_id)
    UPDATE disclosure SET due_at = :now
    WHERE case_id IN (SELECT case_id FROM root
        UNION SELECT e.case_id FROM case_end e JOIN root ON e.merged_into = root.case_id)
""").bindparams(bindparam("now", type_=_MOMENT), bindparam("case_id", type_=Uuid))
_POSTPONE: Final = text("UPDATE disclosure SET due_at = :due_at WHERE case_id = :case_id AND due_at IS NOT NULL")
_RELEASE: Final = text("""
    INSERT INTO held_section (referral_id, section, revision, digest, basis, released_at)
    VALUES (:referral_id, :section, :revision, :digest, :basis, :now)
    ON CONFLICT (referral_id, section) DO UPDATE SET revision = excluded.revision, digest = excluded.digest,
        basis = excluded.basis, released_at = excluded.released_at, withdrawal_id = NULL, confirm_by = NULL,
        deleted_at = NULL
""").bindparams(bindparam("now", type_=_MOMENT))
_WITHDRAW: Final = text("""
    UPDATE held_section SET withdrawal_id = :withdrawal_id, confirm_by = :confirm_by, digest = ''
    WHERE referral_id = :referral_id AND section = ANY(:sections)
""").bindparams(
    bindparam("sections", type_=ARRAY(Text)),
    bindparam("withdrawal_id", type_=Uuid),
    bindparam("confirm_by", type_=_MOMENT),
)
_CONFIRM: Final = text("""
    UPDATE held_section h SET deleted_at = :now FROM disclosure d
    WHERE h.referral_id = d.referral_id AND d.referral_id = :referral_id AND d.agency = :agency
        AND h.withdrawal_id = :withdrawal_id AND h.deleted_at IS NULL
    RETURNING d.case_id, h.section
""").bindparams(bindparam("now", type_=_MOMENT))
_HOLDERS: Final = text("""
    SELECT DISTINCT d.agency FROM disclosure d JOIN held_section h USING (referral_id)
    WHERE d.case_id = :case_id AND h.deleted_at IS NULL ORDER BY d.agency
""")
_OVERDUE: Final = text("""
    SELECT d.agency, count(DISTINCT h.referral_id), min(h.confirm_by) FROM held_section h JOIN disclosure d
    USING (referral_id) WHERE h.withdrawal_id IS NOT NULL AND h.deleted_at IS NULL AND h.confirm_by < :now
    GROUP BY d.agency ORDER BY d.agency
""").bindparams(bindparam("now", type_=_MOMENT))


async def record_disclosure(transaction: Transaction, disclosure: Disclosure, sequence: int) -> None:
    """Stores what an agency may hold, unless a later decision is known."""
    await transaction.connection.execute(
        _DECIDE,
        {
            "referral_id": disclosure.referral_id,
            "case_id": disclosure.case_id,
            "agency": disclosure.agency,
            "sequence": sequence,
            "sections": [section.value for section in disclosure.bases],
            "bases": [basis.value for basis in disclosure.bases.values()],
            "is_suspected": disclosure.is_suspected,
            "cleared_namings": disclosure.cleared_namings,
            "now": transaction.now,
        },
    )


async def mark_disclosures_due(connection: AsyncConnection, case_id: UUID, now: datetime) -> None:
    """Has the loop compare what the agencies of a case, and of those merged with it, hold with what they may hold."""
    await connection.execute(_MARK_DUE, {"case_id": case_id, "now": now})


async def find_due_disclosures(connection: AsyncConnection, now: datetime, limit: int) -> list[UUID]:
    """Finds the cases in which an agency may hold something else than it holds."""
    return list((await connection.execute(_DUE_CASES, {"now": now, "limit": limit})).scalars())


async def lock_due_disclosures(transaction: Transaction, case_id: UUID) -> list[Disclosure]:
    """Locks what is due of a case until the transaction ends."""
    rows = await transaction.connection.execute(_LOCK_DUE, {"case_id": case_id, "now": transaction.now})
    return [
        Disclosure(
            row.referral_id,
            row.case_id,
            row.agency,
            dict(zip(map(DossierSection, row.sections), map(DisclosureBasis, row.bases), strict=False)),
            row.is_suspected,
            row.cleared_namings,
        )
        for row in rows
    ]


async def find_held_sections(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, list[HeldSection]]:
    """Finds what the agencies of referrals hold or held, by the ids of the referrals."""
    held: dict[UUID, list[HeldSection]] = {referral_id: [] for referral_id in ids}
    for referral_id, section, revision, digest, is_withdrawn in await transaction.connection.execute(
        _HELD, {"ids": list(ids)}
    ):
        held[referral_id].append(HeldSection(DossierSection(section), revision, bytes(digest), is_withdrawn))
    return held


async def record_release(transaction: Transaction, disclosure: Disclosure, sections: Iterable[HeldSection]) -> None:
    """Stores that the agency of a referral holds sections."""
    rows = [
        {
            "referral_id": disclosure.referral_id,
            "section": one.section.value,
            "revision": one.revision,
            "digest": one.digest,
            "basis": disclosure.bases[one.section].value,
            "now": transaction.now,
        }
        for one in sections
    ]
    await transaction.connection.execute(_RELEASE, rows)


async def record_withdrawal(
    transaction: Transaction,
    referral_id: UUID,
    sections: Sequence[DossierSection],
    withdrawal_id: UUID,
    time_to_delete: timedelta,
) -> datetime:
    """Stores that the agency of a referral may no longer hold sections; returns when it must have confirmed that."""
    confirm_by = transaction.now + time_to_delete
    await transaction.connection.execute(
        _WITHDRAW,
        {
            "referral_id": referral_id,
            "sections": [one.value for one in sections],
            "withdrawal_id": withdrawal_id,
            "confirm_by": confirm_by,
        },
    )
    return confirm_by


async def settle_disclosure(transaction: Transaction, referral_id: UUID) -> None:
    """Stores that an agency holds what it may hold."""
    await transaction.connection.execute(_SETTLE, {"referral_id": referral_id})


async def postpone_disclosures(connection: AsyncConnection, case_id: UUID, due_at: datetime) -> None:
    """Postpones what is due of a case after an attempt failed."""
    await connection.execute(
        _POSTPONE.bindparams(bindparam("due_at", type_=_MOMENT)), {"case_id": case_id, "due_at": due_at}
    )


async def confirm_deletion(
    transaction: Transaction, referral_id: UUID, agency: str, withdrawal_id: UUID
) -> tuple[UUID, list[DossierSection]] | None:
    """Stores that an agency deleted what an event withdrew; returns the case and the sections, None if nothing was."""
    rows = (
        await transaction.connection.execute(
            _CONFIRM,
            {"referral_id": referral_id, "agency": agency, "withdrawal_id": withdrawal_id, "now": transaction.now},
        )
    ).all()
    return (rows[0].case_id, [DossierSection(row.section) for row in rows]) if rows else None


async def find_dossier_holders(connection: AsyncConnection, case_id: UUID) -> list[str]:
    """Finds the agencies that hold sections of a case, or have not confirmed that they deleted them."""
    return list((await connection.execute(_HOLDERS, {"case_id": case_id})).scalars())


async def find_overdue_deletions(connection: AsyncConnection, now: datetime) -> list[OverdueDeletion]:
    """Finds the agencies that have not confirmed a deletion in time."""
    return [OverdueDeletion(*row) for row in await connection.execute(_OVERDUE, {"now": now})]

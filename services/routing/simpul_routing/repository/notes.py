"""Notes of agencies, encrypted with routing's own key."""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import Section
from simpul_routing.domain.notes import Note
from simpul_routing.stored_facts import agency_note_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction

_ADD: Final = text("""
    INSERT INTO agency_note (note_id, case_id, referral_id, agency, about, content, written_at)
    VALUES (:note_id, :case_id, :referral_id, :agency, :about, :content, :written_at) ON CONFLICT (note_id) DO NOTHING
""").bindparams(bindparam("written_at", type_=DateTime(timezone=True)))
_LIST: Final = text("""
    SELECT note_id, case_id, referral_id, agency, about, content, written_at FROM agency_note
    WHERE referral_id = ANY(:ids) ORDER BY written_at DESC, note_id LIMIT :limit
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
# Whoever adds a note locks its case, so none is added between the two statements after this one.
_LOCK_CASE: Final = text("SELECT FROM case_plan WHERE case_id = :case_id FOR UPDATE")
_MARK_ERASED: Final = text("""
    INSERT INTO erased_case (case_id, erased_at) VALUES (:case_id, :erased_at) ON CONFLICT (case_id) DO NOTHING
""").bindparams(bindparam("erased_at", type_=DateTime(timezone=True)))
_ERASE: Final = text("""
    DELETE FROM agency_note
    WHERE case_id = :case_id AND (:is_whole_case OR about = ANY(:sections) AND written_at <= :erased_at)
""").bindparams(bindparam("sections", type_=ARRAY(Text)), bindparam("erased_at", type_=DateTime(timezone=True)))
_IS_ERASED: Final = text("SELECT EXISTS (SELECT FROM erased_case WHERE case_id = :case_id)")


async def add_note(transaction: Transaction, keys: Keys, note: Note) -> bool:
    """Stores a note; returns False for one that is stored already."""
    content = keys.encrypt(note.text.encode(), associated_data=agency_note_context(note.note_id))
    values = {
        "note_id": note.note_id,
        "case_id": note.case_id,
        "referral_id": note.referral_id,
        "agency": note.agency,
        "about": note.about.value,
        "content": content,
        "written_at": note.written_at,
    }
    return (await transaction.connection.execute(_ADD, values)).rowcount > 0


async def list_notes(transaction: Transaction, keys: Keys, referral_ids: Collection[UUID], limit: int) -> list[Note]:
    """Lists the notes about referrals, the newest first."""
    rows = await transaction.connection.execute(_LIST, {"ids": list(referral_ids), "limit": limit})
    return [
        Note(
            row.note_id,
            row.case_id,
            row.referral_id,
            row.agency,
            Section(row.about),
            keys.decrypt(row.content, associated_data=agency_note_context(row.note_id)).decode(),
            row.written_at,
        )
        for row in rows
    ]


async def erase_notes(
    transaction: Transaction, case_id: UUID, sections: Collection[Section], erased_at: datetime, *, is_whole_case: bool
) -> int:
    """Deletes the notes of a case about sections until a moment, or all of them for good; returns how many."""
    values = {"case_id": case_id, "erased_at": erased_at}
    await transaction.connection.execute(_LOCK_CASE, {"case_id": case_id})
    if is_whole_case:
        await transaction.connection.execute(_MARK_ERASED, values)
    names = [section.value for section in sections]
    erased = await transaction.connection.execute(_ERASE, {**values, "is_whole_case": is_whole_case, "sections": names})
    return erased.rowcount


async def is_erased(transaction: Transaction, case_id: UUID) -> bool:
    """Whether the vault has erased a case."""
    return bool((await transaction.connection.execute(_IS_ERASED, {"case_id": case_id})).scalar_one())

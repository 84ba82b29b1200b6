"""Notes of agencies about sections of the dossier."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Uuid

from simpul_intake.tables import DossierNoteRow
from simpul_runtime.transaction import Transaction

_LIST: Final = text("""
    SELECT note_id, case_id, section, ciphertext, written_at FROM (
        SELECT *, row_number() OVER (PARTITION BY section ORDER BY written_at DESC, note_id) AS age FROM dossier_note
        WHERE case_id = ANY(:case_ids)) AS newest
    WHERE age <= :limit ORDER BY written_at, note_id
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A note as stored."""

    note_id: UUID
    case_id: UUID
    section: str
    ciphertext: bytes
    written_at: datetime


async def add_note(transaction: Transaction, note: StoredNote) -> bool:
    """Stores a note; returns False for one that is stored already."""
    row = {
        "note_id": note.note_id,
        "case_id": note.case_id,
        "section": note.section,
        "ciphertext": note.ciphertext,
        "written_at": note.written_at,
    }
    added = await transaction.connection.execute(insert(DossierNoteRow).values(row).on_conflict_do_nothing())
    return added.rowcount > 0


async def list_notes(transaction: Transaction, case_ids: Collection[UUID], limit: int) -> list[StoredNote]:
    """Lists the newest notes of cases, at most `limit` about each section, the oldest first."""
    rows = await transaction.connection.execute(_LIST, {"case_ids": list(case_ids), "limit": limit})
    return [StoredNote(*row) for row in rows]

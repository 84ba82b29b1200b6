"""When cases ended, and what is kept of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Integer, LargeBinary, Text, Uuid

_RECORD_END = text("""
    INSERT INTO case_end (case_id, sequence, ended_at) VALUES (:case_id, :sequence, :ended_at)
    ON CONFLICT (case_id) DO UPDATE
    SET sequence = excluded.sequence, ended_at = excluded.ended_at, merged_into = NULL
    WHERE case_end.sequence < excluded.sequence
""").bindparams(bindparam("ended_at", type_=DateTime(timezone=True)))
_ADD_END = text("""
    INSERT INTO recorded_end (case_id, sequence, is_ended, recorded_at)
    VALUES (:case_id, :sequence, :is_ended, :recorded_at) ON CONFLICT DO NOTHING
""").bindparams(bindparam("recorded_at", type_=DateTime(timezone=True)))
_RECORD_MERGE = text("""
    WITH target AS (SELECT coalesce((SELECT merged_into FROM case_end WHERE case_id = :into), :into) AS case_id),
    redirected AS (
        UPDATE case_end SET merged_into = target.case_id FROM target WHERE case_end.merged_into = :case_id
    )
    INSERT INTO case_end (case_id, sequence, merged_into, merged_at)
    SELECT :case_id, :sequence, target.case_id, :merged_at FROM target
    ON CONFLICT (case_id) DO UPDATE
    SET sequence = excluded.sequence, ended_at = NULL, merged_into = excluded.merged_into,
        merged_at = excluded.merged_at
    WHERE case_end.sequence < excluded.sequence
""").bindparams(
    bindparam("case_id", type_=Uuid),
    bindparam("into", type_=Uuid),
    bindparam("merged_at", type_=DateTime(timezone=True)),
)
_ENDED_BEFORE = text("""
    SELECT k.case_id, k.key_id, k.wrapped, coalesce(target.ended_at, own.ended_at) AS ended_at,
        array(SELECT DISTINCT name FROM section s WHERE s.case_id = k.case_id) AS sections
    FROM case_end own
    JOIN case_key k ON k.case_id = own.case_id
    LEFT JOIN case_end target ON target.case_id = own.merged_into
    WHERE CASE WHEN own.merged_into IS NULL THEN own.ended_at ELSE target.ended_at END <= :before
        AND k.case_id > :after
    ORDER BY k.case_id LIMIT :count
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_SECTIONS = text("SELECT name, revision, ciphertext FROM section WHERE case_id = :case_id ORDER BY name, revision")
_DELETE_SECTIONS = text("DELETE FROM section WHERE case_id = :case_id AND name = ANY(:names)").bindparams(
    bindparam("names", type_=ARRAY(Text))
)
_REPLACE_SECTIONS = text("""
    UPDATE section s SET ciphertext = r.ciphertext
    FROM unnest(:names, :revisions, :ciphertexts) AS r (name, revision, ciphertext)
    WHERE s.case_id = :case_id AND s.name = r.name AND s.revision = r.revision
""").bindparams(
    bindparam("names", type_=ARRAY(Text)),
    bindparam("revisions", type_=ARRAY(Integer)),
    bindparam("ciphertexts", type_=ARRAY(LargeBinary)),
)
_DELETE_TOKENS = text("DELETE FROM duplicate_index WHERE case_id = :case_id")
_DELETE_QUESTIONS = text("DELETE FROM reporter_question WHERE case_id = :case_id")
_DELETE_NOTES = text("DELETE FROM dossier_note WHERE case_id = :case_id")
_DELETE_FILES = text("DELETE FROM reporter_file WHERE case_id = :case_id")
_REPLACE_KEY = text("UPDATE case_key SET key_id = :key_id, wrapped = :wrapped WHERE case_id = :case_id")


@dataclass(frozen=True, slots=True)
class EndedCase:
    """A case whose end is known, and what the vault has of it."""

    case_id: UUID
    key_id: str
    wrapped: bytes
    ended_at: datetime
    sections: Sequence[str]


@dataclass(frozen=True, slots=True)
class StoredSection:
    """One revision of a section as stored."""

    name: str
    revision: int
    ciphertext: bytes


async def record_end(
    connection: AsyncConnection, case_id: UUID, sequence: int, moment: datetime, *, is_ended: bool
) -> None:
    """Stores that a case ended, or was reopened, unless something later is known of it."""
    values = {"case_id": case_id, "sequence": sequence}
    await connection.execute(_RECORD_END, {**values, "ended_at": moment if is_ended else None})
    await connection.execute(_ADD_END, {**values, "is_ended": is_ended, "recorded_at": moment})


async def record_merge(
    connection: AsyncConnection, case_id: UUID, sequence: int, into: UUID, merged_at: datetime
) -> None:
    """Stores that a case ends with another one, together with those that were merged into it before."""
    values = {"case_id": case_id, "sequence": sequence, "into": into, "merged_at": merged_at}
    await connection.execute(_RECORD_MERGE, values)


async def find_ended_cases(connection: AsyncConnection, before: datetime, after: UUID, count: int) -> list[EndedCase]:
    """Finds cases that ended by a moment, in the order of their ids behind `after`."""
    parameters = {"before": before, "after": after, "count": count}
    return [EndedCase(*row) for row in await connection.execute(_ENDED_BEFORE, parameters)]


async def find_wrapped_key(connection: AsyncConnection, case_id: UUID) -> bytes | None:
    """Loads the wrapped data key of a case; None when the case is erased."""
    found = await connection.execute(text("SELECT wrapped FROM case_key WHERE case_id = :id"), {"id": case_id})
    return found.scalar_one_or_none()


async def load_sections(connection: AsyncConnection, case_id: UUID) -> list[StoredSection]:
    """Loads every revision of every section of a case."""
    return [StoredSection(*row) for row in await connection.execute(_SECTIONS, {"case_id": case_id})]


async def delete_sections(connection: AsyncConnection, case_id: UUID, names: Sequence[str]) -> None:
    """Deletes every revision of these sections, and what was made of them or belongs to them.

    Those are the tokens of the identity, and the files that came with the narrative. Questions to the reporting person
    and notes of agencies are deleted as well: the case has ended, and they may repeat what is erased.
    """
    await connection.execute(_DELETE_QUESTIONS, {"case_id": case_id})
    await connection.execute(_DELETE_NOTES, {"case_id": case_id})
    await connection.execute(_DELETE_SECTIONS, {"case_id": case_id, "names": list(names)})
    if "identity" in names:
        await connection.execute(_DELETE_TOKENS, {"case_id": case_id})
    if "narrative" in names:
        await connection.execute(_DELETE_FILES, {"case_id": case_id})


async def replace_case_key(
    connection: AsyncConnection, case_id: UUID, key_id: str, wrapped: bytes, sections: Sequence[StoredSection]
) -> None:
    """Replaces the data key of a case and everything that was encrypted under it."""
    await connection.execute(_REPLACE_KEY, {"case_id": case_id, "key_id": key_id, "wrapped": wrapped})
    await connection.execute(
        _REPLACE_SECTIONS,
        {
            "case_id": case_id,
            "names": [section.name for section in sections],
            "revisions": [section.revision for section in sections],
            "ciphertexts": [section.ciphertext for section in sections],
        },
    )

"""Files of reporting people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary, Uuid

from simpul_intake.tables import ReporterFileRow
from simpul_runtime.transaction import Transaction

_COUNT: Final = text("SELECT digest FROM reporter_file WHERE case_id = :case_id")
_LIST: Final = text("""
    SELECT case_id, file_id, description, stored_at FROM reporter_file
    WHERE case_id = ANY(:case_ids) ORDER BY stored_at, file_id
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
# Of the dossier as it was released: an agency that gets nothing new reads no file from after it either.
_FIND_RELEASED: Final = text("""
    WITH held AS (
        SELECT d.case_id, d.agency, h.released_at,
            coalesce((SELECT merged_into FROM case_end e WHERE e.case_id = d.case_id), d.case_id) AS root
        FROM disclosure d JOIN held_section h USING (referral_id)
        WHERE d.referral_id = :referral_id AND d.agency = :agency AND h.section = :section
            AND h.withdrawal_id IS NULL AND :section = ANY(d.sections))
    SELECT f.case_id AS case_id, held.case_id AS referred_case_id, k.key_id, k.wrapped, f.ciphertext
    FROM reporter_file f JOIN held ON f.stored_at <= held.released_at JOIN case_key k ON k.case_id = f.case_id
    WHERE f.file_id = :file_id AND (f.case_id IN (held.case_id, held.root)
        OR EXISTS (SELECT FROM case_end e WHERE e.case_id = f.case_id AND e.merged_into = held.root))
""")
_OF_CASE: Final = text("SELECT file_id, description, ciphertext FROM reporter_file WHERE case_id = :case_id")
_REPLACE: Final = text("""
    UPDATE reporter_file f SET description = r.description, ciphertext = r.ciphertext
    FROM unnest(:ids, :descriptions, :ciphertexts) AS r (file_id, description, ciphertext)
    WHERE f.case_id = :case_id AND f.file_id = r.file_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("descriptions", type_=ARRAY(LargeBinary)),
    bindparam("ciphertexts", type_=ARRAY(LargeBinary)),
)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is to be stored."""

    file_id: UUID
    digest: bytes
    """Keyed digest of the content, by which a file that is sent twice is recognized."""
    description: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as stored, without its content."""

    case_id: UUID
    file_id: UUID
    description: bytes
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file that an agency may read, and the data key of its case as stored."""

    case_id: UUID
    referred_case_id: UUID
    """The case of the referral; another one where the file came with a report of the same child."""
    key_id: str
    wrapped: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class EncryptedFile:
    """A file of a case, to be encrypted again."""

    file_id: UUID
    description: bytes
    ciphertext: bytes


async def list_file_digests(transaction: Transaction, case_id: UUID) -> set[bytes]:
    """Lists the digests of the files of a case."""
    return {bytes(one) for one in (await transaction.connection.execute(_COUNT, {"case_id": case_id})).scalars()}


async def add_files(transaction: Transaction, case_id: UUID, files: Sequence[NewFile]) -> None:
    """Stores files of a case."""
    rows = [
        {
            "file_id": one.file_id,
            "case_id": case_id,
            "digest": one.digest,
            "description": one.description,
            "ciphertext": one.ciphertext,
            "stored_at": transaction.now,
        }
        for one in files
    ]
    await transaction.connection.execute(insert(ReporterFileRow).values(rows))


async def list_files(transaction: Transaction, case_ids: Collection[UUID]) -> list[ListedFile]:
    """Lists the files of cases, the oldest first."""
    rows = await transaction.connection.execute(_LIST, {"case_ids": list(case_ids)})
    return [ListedFile(*row) for row in rows]


async def find_released_file(
    transaction: Transaction, referral_id: UUID, agency: str, section: str, file_id: UUID
) -> ReleasedFile | None:
    """Finds a file that is in the dossier of a referral, as its agency holds it; None for every other one."""
    values = {"referral_id": referral_id, "agency": agency, "section": section, "file_id": file_id}
    row = (await transaction.connection.execute(_FIND_RELEASED, values)).one_or_none()
    return ReleasedFile(*row) if row else None


async def load_files(connection: AsyncConnection, case_id: UUID) -> list[EncryptedFile]:
    """Loads every file of a case."""
    return [EncryptedFile(*row) for row in await connection.execute(_OF_CASE, {"case_id": case_id})]


async def replace_files(connection: AsyncConnection, case_id: UUID, files: Sequence[EncryptedFile]) -> None:
    """Replaces what is stored of the files of a case by what a new data key encrypts."""
    values = {
        "case_id": case_id,
        "ids": [one.file_id for one in files],
        "descriptions": [one.description for one in files],
        "ciphertexts": [one.ciphertext for one in files],
    }
    await connection.execute(_REPLACE, values)

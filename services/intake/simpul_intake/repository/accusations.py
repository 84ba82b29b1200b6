"""Which cases of one child an agency is kept away from, and what of them it knew before."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Integer, Text, Uuid

from simpul_runtime.transaction import Transaction

_RELATIVES: Final = text("""
    WITH asked AS (
        SELECT a.case_id, coalesce(e.merged_into, a.case_id) AS root, e.merged_at
        FROM unnest(:case_ids) AS a (case_id) LEFT JOIN case_end e ON e.case_id = a.case_id)
    SELECT case_id, case_id AS relative, NULL AS joined_at FROM asked
    UNION SELECT case_id, root, merged_at FROM asked WHERE root <> case_id
    UNION SELECT a.case_id, e.case_id, greatest(a.merged_at, e.merged_at)
        FROM asked a JOIN case_end e ON e.merged_into = a.root WHERE e.case_id <> a.case_id
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
_RECORD: Final = text("""
    INSERT INTO excluded_agency (case_id, agency, excluded_at) VALUES (:case_id, :agency, :excluded_at)
    ON CONFLICT (case_id, agency) DO NOTHING
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("excluded_at", type_=DateTime(timezone=True)))
_EXCLUSIONS: Final = text("""
    SELECT case_id, min(excluded_at) FROM excluded_agency
    WHERE case_id = ANY(:case_ids) AND agency = ANY(:agencies) GROUP BY case_id
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)), bindparam("agencies", type_=ARRAY(Text)))
_EXCLUDED: Final = text("""
    WITH asked AS (
        SELECT a.case_id, coalesce(e.merged_into, a.case_id) AS root
        FROM unnest(:case_ids) AS a (case_id) LEFT JOIN case_end e ON e.case_id = a.case_id)
    SELECT a.case_id, x.agency FROM asked a JOIN excluded_agency x ON x.case_id IN (a.case_id, a.root)
        OR EXISTS (SELECT FROM case_end e WHERE e.case_id = x.case_id AND e.merged_into = a.root)
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
_RECORD_CLEARED: Final = text("""
    INSERT INTO cleared_agency AS known (case_id, agency, namings)
    SELECT :case_id, :agency, :namings WHERE EXISTS (SELECT FROM case_key WHERE case_id = :case_id)
    ON CONFLICT (case_id, agency) DO UPDATE SET namings = greatest(known.namings, excluded.namings)
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("agency", type_=Text), bindparam("namings", type_=Integer))
_CLEARED: Final = text("""
    SELECT case_id, agency, namings FROM cleared_agency WHERE case_id = ANY(:case_ids) AND agency = ANY(:agencies)
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)), bindparam("agencies", type_=ARRAY(Text)))
# The audit is the only record of who filed a report; nobody can change it without being found out.
_FILED_BY: Final = text("""
    SELECT actor FROM audit WHERE subject = :subject AND action = 'report.stored' AND role = :role
""")
_COUNT_REPLACED: Final = text("""
    SELECT count(*) FROM audit WHERE subject = :subject AND action = 'receipt.replaced' AND at <= :moment
""").bindparams(bindparam("moment", type_=DateTime(timezone=True)))


class Relative(NamedTuple):
    """A case of the same child as another one, or that case itself."""

    case_id: UUID
    relative: UUID
    joined_at: datetime | None
    """When both became one; None for the case itself, and where that is not known."""


async def list_relatives(transaction: Transaction, case_ids: Collection[UUID]) -> list[Relative]:
    """Lists for each case the cases of the same child, itself included."""
    rows = await transaction.connection.execute(_RELATIVES, {"case_ids": list(case_ids)})
    return [Relative(*row) for row in rows]


async def record_exclusion(transaction: Transaction, case_id: UUID, agency: str, excluded_at: datetime) -> None:
    """Stores that a person excluded an agency from a case."""
    values = {"case_id": case_id, "agency": agency, "excluded_at": excluded_at}
    await transaction.connection.execute(_RECORD, values)


async def record_clearing(transaction: Transaction, case_id: UUID, agency: str, namings: int) -> None:
    """Stores that a person decided that an agency is not too close, and how often the report had named it by then.

    Nothing is stored of an erased case.
    """
    values = {"case_id": case_id, "agency": agency, "namings": namings}
    await transaction.connection.execute(_RECORD_CLEARED, values)


async def find_exclusions(
    transaction: Transaction, case_ids: Collection[UUID], agencies: Collection[str]
) -> dict[UUID, datetime]:
    """Finds the cases from which people excluded one of the agencies, and since when."""
    values = {"case_ids": list(case_ids), "agencies": list(agencies)}
    return {row[0]: row[1] for row in await transaction.connection.execute(_EXCLUSIONS, values)}


async def find_excluded_agencies(connection: AsyncConnection, case_ids: Collection[UUID]) -> dict[UUID, set[str]]:
    """Finds whom people excluded from cases, or from other cases of the same child."""
    found: dict[UUID, set[str]] = {case_id: set() for case_id in case_ids}
    for case_id, agency in await connection.execute(_EXCLUDED, {"case_ids": list(case_ids)}):
        found[case_id].add(agency)
    return found


async def find_cleared_namings(
    transaction: Transaction, case_ids: Collection[UUID], agencies: Collection[str]
) -> dict[tuple[UUID, str], int]:
    """Finds by case and agency how often its report had named it when a person decided that it is not too close."""
    values = {"case_ids": list(case_ids), "agencies": list(agencies)}
    return {(row[0], row[1]): row[2] for row in await transaction.connection.execute(_CLEARED, values)}


async def find_filing_centre(transaction: Transaction, subject: str, role: str) -> str:
    """Finds the complaint centre that filed the report of a case; empty if somebody else did.

    `subject` is the case in the audit, and `role` that of complaint centres there.
    """
    return (await transaction.connection.execute(_FILED_BY, {"subject": subject, "role": role})).scalar() or ""


async def count_replaced_receipts(transaction: Transaction, subject: str, moment: datetime) -> int:
    """Counts how often the receipt of a report had been replaced at a moment; `subject` is the case in the audit."""
    values = {"subject": subject, "moment": moment}
    return int((await transaction.connection.execute(_COUNT_REPLACED, values)).scalar_one())

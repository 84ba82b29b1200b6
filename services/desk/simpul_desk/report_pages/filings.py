"""Who filed which report, as the desk's audit has it; intake knows the centre only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.access import User
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now
from simpul_schema.names import subject_of_case

FILED: Final = "report.filed"
_FIRST: Final = text("SELECT min(at) FROM audit WHERE subject = :subject AND action = :action")
_OWN: Final = text("""
    SELECT DISTINCT subject FROM audit WHERE subject = ANY(:subjects) AND actor = :person AND action = :action
""").bindparams(bindparam("subjects", type_=ARRAY(Text)))


async def record_filing(connection: AsyncConnection, user: User, centre: str, action: str, subject: str = "") -> None:
    """Records what a person did as a member of a centre."""
    entry = AuditEntry(action, subject, str(user.id), user.memberships[centre].value, centre)
    await append_entries(connection, [entry], utc_now())


async def find_first_filing(connection: AsyncConnection, case_id: UUID) -> datetime | None:
    """Finds when the report of a case was filed first; None for a new one."""
    values = {"subject": subject_of_case(case_id), "action": FILED}
    found: datetime | None = await connection.scalar(_FIRST, values)
    return found


async def find_own_filings(connection: AsyncConnection, user: User, case_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Finds of which of some cases the person filed the report."""
    cases = {subject_of_case(case_id): case_id for case_id in case_ids}
    values = {"subjects": list(cases), "person": str(user.id), "action": FILED}
    return frozenset(cases[subject] for subject in (await connection.scalars(_OWN, values)))

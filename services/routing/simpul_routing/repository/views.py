"""What the desk and operators read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

_OF_CASE = text("""
    SELECT referral_id, agency, service, role, state, answer_by, reroute_count, rerouted_from, offered_at,
        delivered_at, seen_at, accepted_at, started_at, ended_at, outcome, version
    FROM referral WHERE case_id = :case_id ORDER BY offered_at, service, role, referral_id
""")
_TRANSITIONS = text("""
    SELECT t.at, t.agency, t.actor, t.before, t.after, t.reason, t.note, r.service
    FROM transition t LEFT JOIN referral r ON r.referral_id = t.referral_id
    WHERE t.case_id = :case_id ORDER BY t.position
""")
_WORKLIST = text("""
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, reroute_count FROM referral
    WHERE agency = :agency AND ended_at IS NULL AND (answer_by, referral_id) > (:answer_by, :referral_id)
    ORDER BY answer_by, referral_id LIMIT :most
""").bindparams(bindparam("answer_by", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid))


async def referrals_of(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Every referral of a case, in the order in which they were offered."""
    return [row._asdict() for row in await connection.execute(_OF_CASE, {"case_id": case_id})]


async def transitions_of(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Every change of a case, in order."""
    return [row._asdict() for row in await connection.execute(_TRANSITIONS, {"case_id": case_id})]


async def worklist(
    connection: AsyncConnection, agency: str, after: tuple[datetime, UUID], most: int
) -> list[Mapping[str, Any]]:
    """Referrals of an agency that have not ended, by the time an answer is due, from a place onwards."""
    answer_by, referral_id = after
    values = {"agency": agency, "answer_by": answer_by, "referral_id": referral_id, "most": most}
    return [row._asdict() for row in await connection.execute(_WORKLIST, values)]

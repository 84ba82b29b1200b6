"""Queries for the desk and for operators."""

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
_OPEN_REFERRALS = text("""
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, reroute_count FROM referral
    WHERE agency = :agency AND ended_at IS NULL AND (answer_by, referral_id) > (:answer_by, :referral_id)
    ORDER BY answer_by, referral_id LIMIT :limit
""").bindparams(bindparam("answer_by", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid))


async def list_referrals(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Lists the referrals of a case in the order in which they were offered."""
    return [row._asdict() for row in await connection.execute(_OF_CASE, {"case_id": case_id})]


async def list_transitions(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Lists the changes of a case and its referrals in order."""
    return [row._asdict() for row in await connection.execute(_TRANSITIONS, {"case_id": case_id})]


async def list_open_referrals(
    connection: AsyncConnection, agency: str, after: tuple[datetime, UUID], limit: int
) -> list[Mapping[str, Any]]:
    """Lists open referrals of an agency after a cursor, by the time an answer is due."""
    answer_by, referral_id = after
    values = {"agency": agency, "answer_by": answer_by, "referral_id": referral_id, "limit": limit}
    return [row._asdict() for row in await connection.execute(_OPEN_REFERRALS, values)]

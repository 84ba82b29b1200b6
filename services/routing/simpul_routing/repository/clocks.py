"""Clocks of services and decisions, found by the time of their next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, SmallInteger, Text, Uuid

from simpul_runtime.transaction import Transaction

_DUE = text("""
    SELECT s.referral_id FROM clock c JOIN referral_service s USING (service_id)
    WHERE c.next_at <= :now ORDER BY c.next_at LIMIT :limit
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_DUE_DECISIONS = text("""
    SELECT case_id FROM (
        (SELECT case_id, next_at FROM exclusion_review WHERE next_at <= :now ORDER BY next_at LIMIT :limit)
        UNION ALL
        (SELECT case_id, next_at FROM service_plan WHERE next_at <= :now ORDER BY next_at LIMIT :limit)) due
    ORDER BY next_at LIMIT :limit
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_POSTPONE_DECISIONS = text("""
    WITH locked AS (SELECT FROM case_plan WHERE case_id = :case_id FOR UPDATE),
    plans AS (
        UPDATE service_plan SET next_at = :until
        WHERE case_id = :case_id AND next_at <= :now AND EXISTS (SELECT FROM locked))
    UPDATE exclusion_review SET next_at = :until
    WHERE case_id = :case_id AND next_at <= :now AND EXISTS (SELECT FROM locked)
""").bindparams(
    bindparam("case_id", type_=Uuid),
    bindparam("until", type_=DateTime(timezone=True)),
    bindparam("now", type_=DateTime(timezone=True)),
)
_POSTPONE = text("""
    WITH locked AS (
        SELECT FROM case_plan WHERE case_id = (SELECT case_id FROM referral WHERE referral_id = :referral_id)
        FOR UPDATE)
    UPDATE clock c SET next_at = :until FROM referral_service s
    WHERE s.service_id = c.service_id AND s.referral_id = :referral_id AND c.next_at <= :now
        AND EXISTS (SELECT FROM locked)
""").bindparams(
    bindparam("referral_id", type_=Uuid),
    bindparam("until", type_=DateTime(timezone=True)),
    bindparam("now", type_=DateTime(timezone=True)),
)
_BRING_FORWARD = text("""
    WITH unreached AS (
        SELECT DISTINCT * FROM unnest(:services, :clocks, :steps) AS u (service_id, clock, step)),
    locked AS (
        SELECT FROM case_plan WHERE case_id IN (
            SELECT r.case_id FROM referral_service s JOIN referral r USING (referral_id)
            WHERE s.service_id = ANY(:services)) ORDER BY case_id FOR UPDATE)
    UPDATE clock c SET next_at = :now, step = CASE c.step WHEN '50' THEN '100' ELSE c.step END
    FROM unreached u
    WHERE c.service_id = u.service_id AND c.clock = u.clock AND c.next_at > :now
        AND CASE WHEN u.step < 100 THEN c.step IN ('50', '100') ELSE c.step = '200' END
        AND (SELECT count(*) FROM locked) > 0
""").bindparams(
    bindparam("services", type_=ARRAY(Uuid)),
    bindparam("clocks", type_=ARRAY(Text)),
    bindparam("steps", type_=ARRAY(SmallInteger)),
    bindparam("now", type_=DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class UnreachedStep:
    """A clock of a service at whose step nobody could be reached: 0 for the referral itself, 50, 100 or 200."""

    service_id: UUID
    clock: str
    step: int


async def find_due_referrals(transaction: Transaction, now: datetime, limit: int) -> list[UUID]:
    """Finds referrals with a step that is due, the one that fell due first at the front; locks nothing."""
    due = (await transaction.connection.execute(_DUE, {"now": now, "limit": limit})).scalars()
    return list(dict.fromkeys(due))


async def find_cases_with_due_decision(transaction: Transaction, now: datetime, limit: int) -> list[UUID]:
    """Finds cases whose review or service plan has a step that is due, the first at the front; locks nothing."""
    due = (await transaction.connection.execute(_DUE_DECISIONS, {"now": now, "limit": limit})).scalars()
    return list(dict.fromkeys(due))


async def postpone_due_decisions(transaction: Transaction, case_id: UUID, now: datetime, until: datetime) -> None:
    """Postpones the due steps of the review and the service plan of a case."""
    await transaction.connection.execute(_POSTPONE_DECISIONS, {"case_id": case_id, "now": now, "until": until})


async def postpone_due_clocks(transaction: Transaction, referral_id: UUID, now: datetime, until: datetime) -> None:
    """Postpones the due steps of the services of a referral."""
    await transaction.connection.execute(_POSTPONE, {"referral_id": referral_id, "now": now, "until": until})


async def bring_steps_forward(transaction: Transaction, unreached: Sequence[UnreachedStep], now: datetime) -> None:
    """Makes the step after each of these due now, unless it was taken already, or the clock has stopped.

    A reminder is skipped, because it would alert the people who could not be reached.
    """
    values = {
        "services": [one.service_id for one in unreached],
        "clocks": [one.clock for one in unreached],
        "steps": [one.step for one in unreached],
        "now": now,
    }
    await transaction.connection.execute(_BRING_FORWARD, values)

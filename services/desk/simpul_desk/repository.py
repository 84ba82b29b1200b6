"""The only SQL of the desk."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Uuid

from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import (
    AlertFailedV1,
    AlertSentV1,
    CaseMergedV1,
    OverlapDismissedV1,
    OverlapSuspectedV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralEscalatedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)

E = TypeVar("E", bound=Event)

_OFFERED = text("""
    INSERT INTO board (referral_id, case_id, agency) VALUES (:referral_id, :case_id, :agency)
    ON CONFLICT (referral_id) DO UPDATE SET agency = excluded.agency
""")
# A service of an older version may be listed by the referral that it was joined to.
_DESCRIBED = text("""
    INSERT INTO board_service (service_id, referral_id, service, urgency, answer_by)
    VALUES (:service_id, :referral_id, :service, :urgency, :answer_by)
    ON CONFLICT (service_id) DO UPDATE SET referral_id = excluded.referral_id, urgency = excluded.urgency,
        answer_by = excluded.answer_by
""")
_FIND_REFERRALS = text(
    "SELECT DISTINCT referral_id FROM board_service WHERE service_id = ANY(:service_ids)"
).bindparams(bindparam("service_ids", type_=ARRAY(Uuid)))
_ACCEPTED = text("""
    UPDATE board_service SET accepted_at = :accepted_at, unanswered_since = NULL, unanswered_step = 0
    WHERE service_id = :service_id
""")
_STARTED = text("UPDATE board_service SET unserved_since = NULL, unserved_step = 0 WHERE service_id = :service_id")
_UNANSWERED = text("""
    UPDATE board_service SET unanswered_since = least(unanswered_since, CAST(:due_at AS timestamptz)),
        unanswered_step = greatest(unanswered_step, CAST(:step AS smallint))
    WHERE service_id = :service_id
""")
_UNSERVED = text("""
    UPDATE board_service SET unserved_since = least(unserved_since, CAST(:due_at AS timestamptz)),
        unserved_step = greatest(unserved_step, CAST(:step AS smallint))
    WHERE service_id = :service_id
""")
_CLOCKS_STOPPED_BY_ANSWER = frozenset({"receipt", "answer", "police_report"})
_CLOCKS_STOPPED_BY_START = frozenset({"contact", "service", "health_window", "temporary_protection"})
_ENDED = text("UPDATE board_service SET ended_as = :ended_as WHERE service_id = :service_id")
_REFRESH = text("""
    UPDATE board b SET open_services = s.open_services, urgency = s.urgency, answer_by = s.answer_by,
        accepted_at = s.accepted_at, late_since = s.late_since, late_step = s.late_step
    FROM (
        SELECT r.referral_id, count(v.service_id) AS open_services,
            CASE WHEN bool_or(v.urgency = 'high') THEN 'high' WHEN bool_or(v.urgency = 'medium') THEN 'medium'
                ELSE min(v.urgency) END AS urgency,
            coalesce(min(v.answer_by) FILTER (WHERE v.accepted_at IS NULL), min(v.answer_by)) AS answer_by,
            CASE WHEN bool_and(v.accepted_at IS NOT NULL) THEN max(v.accepted_at) END AS accepted_at,
            min(least(v.unanswered_since, v.unserved_since)) AS late_since,
            coalesce(max(greatest(v.unanswered_step, v.unserved_step)), 0) AS late_step
        FROM unnest(:referral_ids) AS r (referral_id)
            LEFT JOIN board_service v ON v.referral_id = r.referral_id AND v.ended_as IS NULL
        GROUP BY r.referral_id) s
    WHERE b.referral_id = s.referral_id
""").bindparams(bindparam("referral_ids", type_=ARRAY(Uuid)))
_ALERTED = text("""
    INSERT INTO board (referral_id, case_id, alerts_sent, alerts_failed)
    VALUES (:referral_id, :case_id, :sent, :failed)
    ON CONFLICT (referral_id) DO UPDATE SET alerts_sent = board.alerts_sent + excluded.alerts_sent,
        alerts_failed = board.alerts_failed + excluded.alerts_failed
""")
_OVERLAP = text("""
    INSERT INTO case_overlap (overlap_id, case_id, other_case_id, is_open)
    VALUES (:overlap_id, :case_id, :other_case_id, :is_open)
    ON CONFLICT (overlap_id) DO UPDATE SET is_open = case_overlap.is_open AND excluded.is_open
""")
_CLOSE_OVERLAPS_OF = text("""
    UPDATE case_overlap SET is_open = FALSE WHERE is_open AND (case_id = :case_id OR other_case_id = :case_id)
""")
# Both ways: referrals of the case that ended keep its reference.
_SHARE_EXCLUSIONS = text("""
    INSERT INTO case_exclusion (account_id, case_id, declared_by, declared_at)
    SELECT account_id, CASE case_id WHEN :case_id THEN :into ELSE :case_id END, declared_by, declared_at
    FROM case_exclusion WHERE case_id IN (:case_id, :into)
    ON CONFLICT DO NOTHING
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("into", type_=Uuid))
_BOARD = text("""
    WITH board_lines AS (
        (SELECT * FROM board WHERE late_since IS NOT NULL AND open_services > 0 ORDER BY late_since LIMIT :limit)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NULL AND open_services > 0 ORDER BY answer_by LIMIT :limit)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NOT NULL AND open_services > 0
            ORDER BY accepted_at DESC LIMIT :limit))
    SELECT referral_id, case_id, agency, urgency, answer_by, accepted_at, alerts_sent, alerts_failed, late_since,
        late_step, EXISTS (SELECT FROM case_overlap o WHERE o.is_open AND o.case_id = board_lines.case_id)
            OR EXISTS (SELECT FROM case_overlap o WHERE o.is_open AND o.other_case_id = board_lines.case_id)
    FROM board_lines ORDER BY late_since NULLS LAST, accepted_at DESC NULLS FIRST, answer_by, referral_id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A referral on the board."""

    referral_id: UUID
    case_id: UUID
    agency: str
    urgency: str
    answer_by: datetime
    accepted_at: datetime | None
    """When the last of the services was accepted; None while one is not."""
    alerts_sent: int
    alerts_failed: int
    late_since: datetime | None
    """The earliest missed deadline; None when no deadline is missed."""
    late_step: int
    """100 when a deadline has passed, 200 when twice its time has passed, 0 otherwise."""
    has_overlap: bool = False
    """Whether another case may be about the same child."""


async def record_offers(transaction: Transaction, events: Sequence[ReferralOfferedV1 | ReferralAmendedV1]) -> None:
    """Adds offered and amended referrals, with their services, to the board."""
    await transaction.connection.execute(
        _OFFERED, [event.data.model_dump(include={"referral_id", "case_id", "agency"}) for event in events]
    )
    described = [
        service.model_dump(include={"service_id", "answer_by"})
        | {
            "referral_id": event.data.referral_id,
            "service": service.service.value,
            "urgency": service.urgency.value,
        }
        for event in events
        for service in event.data.services
    ]
    joined = await _find_referrals(transaction, [row["service_id"] for row in described])
    await transaction.connection.execute(_DESCRIBED, described)
    await _refresh(transaction, joined | {event.data.referral_id for event in events})


async def record_acceptances(transaction: Transaction, events: Sequence[ReferralAcceptedV1]) -> None:
    """Marks services as accepted and clears deadlines that an answer stops."""
    await _update_services(transaction, events, _ACCEPTED, lambda event: {"accepted_at": event.data.accepted_at})


async def record_starts(transaction: Transaction, events: Sequence[ReferralStartedV1]) -> None:
    """Clears deadlines that the start of a service stops."""
    await _update_services(transaction, events, _STARTED, lambda _: {})


async def record_passed_deadlines(
    transaction: Transaction, events: Sequence[ReferralOverdueV1 | ReferralEscalatedV1]
) -> None:
    """Marks services as late; deadlines after a withdrawal of consent are not shown on the board."""
    for clocks, statement in ((_CLOCKS_STOPPED_BY_ANSWER, _UNANSWERED), (_CLOCKS_STOPPED_BY_START, _UNSERVED)):
        late = [event for event in events if event.data.clock in clocks]
        await _update_services(
            transaction, late, statement, lambda event: {"due_at": event.data.due_at, "step": event.data.step}
        )


async def record_endings(
    transaction: Transaction,
    events: Sequence[ReferralReroutedV1 | ReferralCompletedV1 | ReferralCancelledV1 | ReferralRevokedV1],
) -> None:
    """Removes rerouted, completed, cancelled and revoked services from the board."""
    await _update_services(transaction, events, _ENDED, lambda event: {"ended_as": event.type.split(".")[1]})


async def _update_services(
    transaction: Transaction, events: Sequence[E], statement: TextClause, values: Callable[[E], dict[str, object]]
) -> None:
    """Executes a statement for every service of the events, with these values of its event."""
    rows = [
        {"service_id": service.service_id} | values(event)
        for event in events
        for service in event.data.services  # type: ignore[attr-defined]  # each of these events lists services
    ]
    if rows:
        await transaction.connection.execute(statement, rows)
        await _refresh(transaction, await _find_referrals(transaction, [row["service_id"] for row in rows]))


async def _find_referrals(transaction: Transaction, service_ids: Sequence[object]) -> set[UUID]:
    found = await transaction.connection.execute(_FIND_REFERRALS, {"service_ids": list(service_ids)})
    return set(found.scalars())


async def _refresh(transaction: Transaction, referral_ids: Collection[UUID]) -> None:
    """Computes what a referral shows from its services."""
    await transaction.connection.execute(_REFRESH, {"referral_ids": list(referral_ids)})


async def record_alerts(transaction: Transaction, events: Sequence[AlertSentV1 | AlertFailedV1]) -> None:
    """Counts sent and failed alerts."""
    rows = [
        {
            "referral_id": event.data.referral_id,
            "case_id": event.correlationid,
            "sent": int(isinstance(event, AlertSentV1)),
            "failed": int(isinstance(event, AlertFailedV1)),
        }
        for event in events
    ]
    await transaction.connection.execute(_ALERTED, rows)


async def record_overlaps(transaction: Transaction, events: Sequence[OverlapSuspectedV1]) -> None:
    """Records cases that may be about the same child."""
    await transaction.connection.execute(_OVERLAP, [_overlap_row(event, is_open=True) for event in events])


async def close_overlaps(transaction: Transaction, events: Sequence[OverlapDismissedV1]) -> None:
    """Closes overlaps that a person dismissed; what is suspected again later stays closed."""
    await transaction.connection.execute(_OVERLAP, [_overlap_row(event, is_open=False) for event in events])


async def record_merges(transaction: Transaction, events: Sequence[CaseMergedV1]) -> None:
    """Closes the overlaps of cases that were merged; who is kept from one of two cases is kept from both."""
    await transaction.connection.execute(_CLOSE_OVERLAPS_OF, [{"case_id": event.data.case_id} for event in events])
    await transaction.connection.execute(
        _SHARE_EXCLUSIONS, [event.data.model_dump(include={"case_id", "into"}) for event in events]
    )


def _overlap_row(event: OverlapSuspectedV1 | OverlapDismissedV1, *, is_open: bool) -> dict[str, object]:
    return {
        "overlap_id": event.subject_id,
        "case_id": event.data.case_id,
        "other_case_id": event.data.other_case_id,
        "is_open": is_open,
    }


async def load_board(engine: AsyncEngine, limit: int) -> list[BoardLine]:
    """Loads late referrals, longest late first; then unaccepted ones by deadline; then the others, newest first."""
    async with engine.connect() as connection:
        return [BoardLine(*row) for row in await connection.execute(_BOARD, {"limit": limit})]

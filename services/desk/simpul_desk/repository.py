"""The only SQL of the desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.transaction import Transaction
from simpul_schema.messages import (
    AlertFailedV1,
    AlertSentV1,
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

_OFFERED = text("""
    INSERT INTO board (referral_id, case_id, agency, service, urgency, answer_by)
    VALUES (:referral_id, :case_id, :agency, :service, :urgency, :answer_by)
    ON CONFLICT (referral_id) DO UPDATE SET agency = excluded.agency, service = excluded.service,
        urgency = excluded.urgency, answer_by = excluded.answer_by
""")
_AMENDED = text("""
    UPDATE board SET urgency = :urgency, answer_by = :answer_by WHERE referral_id = :referral_id
""")
_ACCEPTED = text("""
    INSERT INTO board (referral_id, case_id, accepted_at) VALUES (:referral_id, :case_id, :accepted_at)
    ON CONFLICT (referral_id) DO UPDATE SET accepted_at = excluded.accepted_at, unanswered_since = NULL,
        unanswered_step = 0
""")
_STARTED = text("UPDATE board SET unserved_since = NULL, unserved_step = 0 WHERE referral_id = :referral_id")
_UNANSWERED = text("""
    INSERT INTO board (referral_id, case_id, unanswered_since, unanswered_step)
    VALUES (:referral_id, :case_id, :due_at, :step) ON CONFLICT (referral_id) DO UPDATE
        SET unanswered_since = least(board.unanswered_since, excluded.unanswered_since),
            unanswered_step = greatest(board.unanswered_step, excluded.unanswered_step)
""")
_UNSERVED = text("""
    INSERT INTO board (referral_id, case_id, unserved_since, unserved_step)
    VALUES (:referral_id, :case_id, :due_at, :step) ON CONFLICT (referral_id) DO UPDATE
        SET unserved_since = least(board.unserved_since, excluded.unserved_since),
            unserved_step = greatest(board.unserved_step, excluded.unserved_step)
""")
_CLOCKS_STOPPED_BY_ANSWER = frozenset({"receipt", "answer", "police_report"})
_CLOCKS_STOPPED_BY_START = frozenset({"contact", "service", "health_window", "temporary_protection"})
_ENDED = text("""
    INSERT INTO board (referral_id, case_id, ended_as) VALUES (:referral_id, :case_id, :ended_as)
    ON CONFLICT (referral_id) DO UPDATE SET ended_as = excluded.ended_as
""")
_ALERTED = text("""
    INSERT INTO board (referral_id, case_id, alerts_sent, alerts_failed)
    VALUES (:referral_id, :case_id, :sent, :failed)
    ON CONFLICT (referral_id) DO UPDATE SET alerts_sent = board.alerts_sent + excluded.alerts_sent,
        alerts_failed = board.alerts_failed + excluded.alerts_failed
""")
_BOARD = text("""
    WITH board_lines AS (
        (SELECT * FROM board WHERE late_since IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY late_since LIMIT :limit)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY answer_by LIMIT :limit)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY accepted_at DESC LIMIT :limit))
    SELECT referral_id, case_id, agency, service, urgency, answer_by, accepted_at, alerts_sent, alerts_failed,
        late_since, greatest(unanswered_step, unserved_step)
    FROM board_lines ORDER BY late_since NULLS LAST, accepted_at DESC NULLS FIRST, answer_by, referral_id LIMIT :limit
""")
_COUNTS = text("""
    SELECT
        (SELECT count(*) FROM board WHERE late_since IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL),
        (SELECT count(*) FROM board WHERE accepted_at IS NULL AND ended_as IS NULL AND answer_by IS NOT NULL)
""")


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A referral on the board."""

    referral_id: UUID
    case_id: UUID
    agency: str
    service: str
    urgency: str
    answer_by: datetime
    accepted_at: datetime | None
    alerts_sent: int
    alerts_failed: int
    late_since: datetime | None
    """The earliest missed deadline; None when no deadline is missed."""
    late_step: int
    """100 when a deadline has passed, 200 when twice its time has passed, 0 otherwise."""


@dataclass(frozen=True, slots=True)
class BoardCounts:
    """Numbers of open referrals, including those beyond the board's limit."""

    late: int
    unanswered: int


async def record_offers(transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
    """Adds offered referrals to the board."""
    rows = [
        event.data.model_dump(include={"referral_id", "case_id", "answer_by"})
        | {"agency": event.data.agency, "service": event.data.service.value, "urgency": event.data.urgency.value}
        for event in events
    ]
    await transaction.connection.execute(_OFFERED, rows)


async def record_amendments(transaction: Transaction, events: Sequence[ReferralAmendedV1]) -> None:
    """Updates urgency and deadline of referrals."""
    rows = [
        event.data.model_dump(include={"referral_id", "answer_by"}) | {"urgency": event.data.urgency.value}
        for event in events
    ]
    await transaction.connection.execute(_AMENDED, rows)


async def record_acceptances(transaction: Transaction, events: Sequence[ReferralAcceptedV1]) -> None:
    """Marks referrals as accepted and clears deadlines that an answer stops."""
    rows = [event.data.model_dump(include={"referral_id", "case_id", "accepted_at"}) for event in events]
    await transaction.connection.execute(_ACCEPTED, rows)


async def record_starts(transaction: Transaction, events: Sequence[ReferralStartedV1]) -> None:
    """Clears deadlines that the start of the service stops."""
    await transaction.connection.execute(_STARTED, [event.data.model_dump(include={"referral_id"}) for event in events])


async def record_passed_deadlines(
    transaction: Transaction, events: Sequence[ReferralOverdueV1 | ReferralEscalatedV1]
) -> None:
    """Marks referrals as late; deadlines after a withdrawal of consent are not shown on the board."""
    for clocks, statement in ((_CLOCKS_STOPPED_BY_ANSWER, _UNANSWERED), (_CLOCKS_STOPPED_BY_START, _UNSERVED)):
        rows = [
            event.data.model_dump(include={"referral_id", "case_id", "due_at", "step"})
            for event in events
            if event.data.clock in clocks
        ]
        if rows:
            await transaction.connection.execute(statement, rows)


async def record_endings(
    transaction: Transaction,
    events: Sequence[ReferralReroutedV1 | ReferralCompletedV1 | ReferralCancelledV1 | ReferralRevokedV1],
) -> None:
    """Removes rerouted, completed, cancelled and revoked referrals from the board."""
    rows = [
        event.data.model_dump(include={"referral_id", "case_id"}) | {"ended_as": event.type.split(".")[1]}
        for event in events
    ]
    await transaction.connection.execute(_ENDED, rows)


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


async def load_board(engine: AsyncEngine, limit: int) -> list[BoardLine]:
    """Loads late referrals, longest late first; then unaccepted ones by deadline; then the others, newest first."""
    async with engine.connect() as connection:
        return [BoardLine(*row) for row in await connection.execute(_BOARD, {"limit": limit})]


async def count_open_referrals(engine: AsyncEngine) -> BoardCounts:
    """Counts the open referrals that are late and those that are not accepted."""
    async with engine.connect() as connection:
        return BoardCounts(*(await connection.execute(_COUNTS)).one())

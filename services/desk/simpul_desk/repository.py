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
_STOPPED_BY_AN_ANSWER = frozenset({"receipt", "answer", "police_report"})
_STOPPED_BY_THE_START = frozenset({"contact", "service", "health_window", "temporary_protection"})
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
_SHOWN = text("""
    WITH shown AS (
        (SELECT * FROM board WHERE late_since IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY late_since LIMIT :most)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY answer_by LIMIT :most)
        UNION
        (SELECT * FROM board WHERE accepted_at IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL
            ORDER BY accepted_at DESC LIMIT :most))
    SELECT referral_id, case_id, agency, service, urgency, answer_by, accepted_at, alerts_sent, alerts_failed,
        late_since, greatest(unanswered_step, unserved_step)
    FROM shown ORDER BY late_since NULLS LAST, accepted_at DESC NULLS FIRST, answer_by, referral_id LIMIT :most
""")
_COUNTS = text("""
    SELECT
        (SELECT count(*) FROM board WHERE late_since IS NOT NULL AND ended_as IS NULL AND answer_by IS NOT NULL),
        (SELECT count(*) FROM board WHERE accepted_at IS NULL AND ended_as IS NULL AND answer_by IS NOT NULL)
""")


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One referral on the board."""

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
    """The earliest deadline that has passed and is not met; None while there is none."""
    late_step: int
    """100 once a deadline has passed, 200 once twice its time has."""


@dataclass(frozen=True, slots=True)
class BoardCounts:
    """How many referrals wait for somebody, also those that the board has no room for."""

    late: int
    unanswered: int


async def note_offered(transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
    """Referrals were offered."""
    rows = [
        event.data.model_dump(include={"referral_id", "case_id", "answer_by"})
        | {"agency": event.data.agency, "service": event.data.service.value, "urgency": event.data.urgency.value}
        for event in events
    ]
    await transaction.connection.execute(_OFFERED, rows)


async def note_amended(transaction: Transaction, events: Sequence[ReferralAmendedV1]) -> None:
    """Urgency or deadline of referrals changed."""
    rows = [
        event.data.model_dump(include={"referral_id", "answer_by"}) | {"urgency": event.data.urgency.value}
        for event in events
    ]
    await transaction.connection.execute(_AMENDED, rows)


async def note_accepted(transaction: Transaction, events: Sequence[ReferralAcceptedV1]) -> None:
    """Referrals were accepted."""
    rows = [event.data.model_dump(include={"referral_id", "case_id", "accepted_at"}) for event in events]
    await transaction.connection.execute(_ACCEPTED, rows)


async def note_started(transaction: Transaction, events: Sequence[ReferralStartedV1]) -> None:
    """Services began, so nothing is late any more that waited for that."""
    await transaction.connection.execute(_STARTED, [event.data.model_dump(include={"referral_id"}) for event in events])


async def note_late(transaction: Transaction, events: Sequence[ReferralOverdueV1 | ReferralEscalatedV1]) -> None:
    """Deadlines passed, once or twice; those that follow a withdrawal are not of the board."""
    for clocks, statement in ((_STOPPED_BY_AN_ANSWER, _UNANSWERED), (_STOPPED_BY_THE_START, _UNSERVED)):
        rows = [
            event.data.model_dump(include={"referral_id", "case_id", "due_at", "step"})
            for event in events
            if event.data.clock in clocks
        ]
        if rows:
            await transaction.connection.execute(statement, rows)


async def note_ended(
    transaction: Transaction,
    events: Sequence[ReferralReroutedV1 | ReferralCompletedV1 | ReferralCancelledV1 | ReferralRevokedV1],
) -> None:
    """Referrals were handed over, completed, cancelled or revoked."""
    rows = [
        event.data.model_dump(include={"referral_id", "case_id"}) | {"ended_as": event.type.split(".")[1]}
        for event in events
    ]
    await transaction.connection.execute(_ENDED, rows)


async def note_alerted(transaction: Transaction, events: Sequence[AlertSentV1 | AlertFailedV1]) -> None:
    """Alerts were sent or given up."""
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


async def shown_referrals(engine: AsyncEngine, most: int) -> list[BoardLine]:
    """The late ones, the longest late first; those that nobody accepted yet, by deadline; the others, newest first."""
    async with engine.connect() as connection:
        return [BoardLine(*row) for row in await connection.execute(_SHOWN, {"most": most})]


async def count_referrals(engine: AsyncEngine) -> BoardCounts:
    """How many open referrals are late, and how many nobody has accepted."""
    async with engine.connect() as connection:
        return BoardCounts(*(await connection.execute(_COUNTS)).one())

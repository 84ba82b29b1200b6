"""The only SQL of notify."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, SmallInteger, Text, Uuid

from simpul_notify.domain import Alert, AlertState
from simpul_notify.tables import AlertRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import AlertChannel, Urgency

_SETTLE = text("""
    UPDATE alert a SET state = s.state, attempts = s.attempts, due_at = s.due_at,
        settled_at = CASE WHEN s.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM unnest(:ids, :states, :attempts, :due) AS s (alert_id, state, attempts, due_at)
    WHERE a.alert_id = s.alert_id AND a.state = 'pending' RETURNING a.alert_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("attempts", type_=ARRAY(SmallInteger)), bindparam("due", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip
_TAKE_DUE = text("""
    UPDATE alert SET due_at = now() + :lease WHERE alert_id IN (
        SELECT alert_id FROM alert WHERE state = 'pending' AND due_at <= now()
        ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING alert_id, referral_id, case_id, contact, channel, urgency, answer_by, attempts
""")
_TAKE_OVER = text("UPDATE alert SET due_at = now() WHERE state = 'pending' AND attempts = 0")


def add(transaction: Transaction, alert: Alert, due_at: datetime) -> None:
    """Record an alert that is to be sent."""
    transaction.add(
        AlertRow,
        {
            "alert_id": alert.alert_id, "referral_id": alert.referral_id, "case_id": alert.case_id,
            "step": alert.step, "contact": alert.contact, "channel": alert.channel.value,
            "urgency": alert.urgency.value, "answer_by": alert.answer_by, "state": AlertState.PENDING.value,
            "attempts": 0, "due_at": due_at, "created_at": transaction.now,
        },
    )  # fmt: skip


async def settle(transaction: Transaction, fates: Sequence[tuple[Alert, AlertState, datetime]]) -> set[UUID]:
    """Write states, attempts and next times; returns the alerts whose fate was not known before."""
    changed = await transaction.connection.execute(
        _SETTLE,
        {
            "ids": [alert.alert_id for alert, _, _ in fates],
            "states": [state.value for _, state, _ in fates],
            "attempts": [alert.attempts for alert, _, _ in fates],
            "due": [due for _, _, due in fates],
            "now": transaction.now,
        },
    )
    return set(changed.scalars())


async def take_due(transaction: Transaction, most: int, lease: timedelta) -> list[Alert]:
    """Alerts that are due, kept from other processes for the lease."""
    found = await transaction.connection.execute(_TAKE_DUE, {"most": most, "lease": lease})
    return [
        Alert(
            row.alert_id, row.referral_id, row.case_id, row.contact, AlertChannel(row.channel), Urgency(row.urgency),
            row.answer_by, row.attempts,
        )
        for row in found
    ]  # fmt: skip


async def take_over(transaction: Transaction) -> None:
    """Make due at once what a process that ended had not tried yet."""
    await transaction.connection.execute(_TAKE_OVER)

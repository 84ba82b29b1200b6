"""Messages of drills: rows like those of alerts, which carry no alert, so that reports and answers find them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.links import digest_of
from simpul_notify.domain.responders import Recipient

_ADD: Final = text("""
    INSERT INTO notification (notification_id, responder, channel, address_digest, alerts, report_digest, link_digest,
        created_at)
    VALUES (:id, :responder, :channel, :address, '{}', :report, :link, :now)
""")
# A report may come before the provider's answer, and the higher state stays.
_RECORD_DELIVERY: Final = text("""
    INSERT INTO delivery (notification_id, provider, state, state_at, accepted_at, reference)
    VALUES (:id, :provider, :state, :now, :accepted_at, :reference)
    ON CONFLICT (notification_id, provider) DO UPDATE SET
        state = greatest(delivery.state, excluded.state),
        accepted_at = coalesce(delivery.accepted_at, excluded.accepted_at),
        reference = coalesce(delivery.reference, excluded.reference)
""")
_FIND: Final = text("""
    SELECT n.notification_id, n.answer, n.answered_at, d.state, d.state_at
    FROM notification n LEFT JOIN LATERAL (
        SELECT state, state_at FROM delivery WHERE notification_id = n.notification_id ORDER BY state DESC LIMIT 1
    ) d ON true
    WHERE n.notification_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class DrillOutcome:
    """What is known about a message of a drill."""

    notification_id: UUID
    delivery: DeliveryState
    delivery_at: datetime | None
    answer: Answer | None
    answered_at: datetime | None


async def add_message(
    connection: AsyncConnection,
    notification_id: UUID,
    recipient: Recipient,
    address_digest: str,
    report_token: str,
    link_token: str,
    now: datetime,
) -> None:
    """Stores a message before it is handed over."""
    await connection.execute(
        _ADD,
        {
            "id": notification_id,
            "responder": recipient.responder,
            "channel": recipient.method,
            "address": address_digest,
            "report": digest_of(report_token),
            "link": digest_of(link_token),
            "now": now,
        },
    )


async def record_delivery(
    connection: AsyncConnection,
    notification_id: UUID,
    provider: str,
    state: DeliveryState,
    reference: str,
    now: datetime,
) -> None:
    """Records that a provider took a message, or may have."""
    accepted_at = now if state >= DeliveryState.ACCEPTED else None
    await connection.execute(
        _RECORD_DELIVERY,
        {
            "id": notification_id,
            "provider": provider,
            "state": int(state),
            "now": now,
            "accepted_at": accepted_at,
            "reference": reference or None,
        },
    )


async def find_outcomes(connection: AsyncConnection, ids: Sequence[UUID]) -> list[DrillOutcome]:
    """Finds what providers reported about messages, and what people answered."""
    rows = await connection.execute(_FIND, {"ids": list(ids)})
    return [
        DrillOutcome(
            row.notification_id,
            DeliveryState(row.state or 0),
            row.state_at,
            Answer(row.answer) if row.answer else None,
            row.answered_at,
        )
        for row in rows
    ]

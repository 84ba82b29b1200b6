"""A row of the outbox: one event on its way to one destination."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, LargeBinary, Text, Uuid

LEASE: Final = timedelta(seconds=5)
"""How long a message belongs to the process that stored or took it; then any relay may publish it."""

_STORE = text("""
    INSERT INTO outbox (
        message_id, exchange, routing_key, body, signature, event_id, correlation_id, traceparent, due_at)
    SELECT m, x, k, b, s, e, c, nullif(t, ''), CAST(:due_at AS timestamptz)
    FROM unnest(:message_ids, :exchanges, :keys, :bodies, :signatures, :event_ids, :correlations, :traceparents)
        AS r (m, x, k, b, s, e, c, t)
""").bindparams(
    bindparam("message_ids", type_=ARRAY(Uuid)),
    bindparam("exchanges", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("bodies", type_=ARRAY(LargeBinary)),
    bindparam("signatures", type_=ARRAY(Text)),
    bindparam("event_ids", type_=ARRAY(Uuid)),
    bindparam("correlations", type_=ARRAY(Uuid)),
    bindparam("traceparents", type_=ARRAY(Text)),
)
# A row that the relay has locked is being published or marked, so it is on its way already.
_REQUEUE = text("""
    UPDATE outbox SET published_at = NULL, due_at = :now, last_error = 'sent_again'
    WHERE message_id IN (
        SELECT message_id FROM outbox WHERE message_id = ANY(:ids) AND published_at < :before FOR UPDATE SKIP LOCKED)
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("before", type_=DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A sealed and signed event for one destination, waiting to be published."""

    message_id: UUID
    exchange: str
    routing_key: str
    body: bytes
    signature: str
    """Signature of the body; empty if an earlier version stored the message with the signature inside its body."""
    event_id: UUID
    correlation_id: UUID
    traceparent: str = ""
    """The trace of what caused the event; empty while traces are off."""


async def store_messages(connection: AsyncConnection, messages: Sequence[OutboxMessage], now: datetime) -> None:
    """Stores messages in the outbox, in this order."""
    if not messages:
        return
    await connection.execute(
        _STORE,
        {
            "message_ids": [message.message_id for message in messages],
            "exchanges": [message.exchange for message in messages],
            "keys": [message.routing_key for message in messages],
            "bodies": [message.body for message in messages],
            "signatures": [message.signature for message in messages],
            "event_ids": [message.event_id for message in messages],
            "correlations": [message.correlation_id for message in messages],
            "traceparents": [message.traceparent for message in messages],
            "due_at": now + LEASE,
        },
    )


async def requeue_messages(
    connection: AsyncConnection, message_ids: Collection[UUID], *, published_before: datetime, now: datetime
) -> None:
    """Makes the relay publish messages again, unchanged, if they were published before that moment."""
    await connection.execute(_REQUEUE, {"ids": list(message_ids), "now": now, "before": published_before})

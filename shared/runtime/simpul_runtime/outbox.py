"""Events are written in the transaction that changes the state they announce."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, LargeBinary, Text, Uuid

from simpul_runtime.signing import Keys
from simpul_schema import Event, service_source
from simpul_schema.catalog import EVENTS, routing_key, row_of
from simpul_schema.envelope import wire_json

HOT: Final = timedelta(seconds=5)
"""How long the writer's own relay may take before any other may publish the row."""

_NEXT_SEQUENCES = text("""
    INSERT INTO stream (subject, last) SELECT * FROM unnest(:subjects, :counts)
    ON CONFLICT (subject) DO UPDATE SET last = stream.last + excluded.last
    RETURNING subject, last
""").bindparams(bindparam("subjects", type_=ARRAY(Text)), bindparam("counts", type_=ARRAY(BigInteger)))

_STORE = text("""
    INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at)
    SELECT m, x, k, b, e, c, CAST(:due_at AS timestamptz)
    FROM unnest(:message_ids, :exchanges, :keys, :bodies, :event_ids, :correlations) AS r (m, x, k, b, e, c)
""").bindparams(
    bindparam("message_ids", type_=ARRAY(Uuid)), bindparam("exchanges", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)), bindparam("bodies", type_=ARRAY(LargeBinary)),
    bindparam("event_ids", type_=ARRAY(Uuid)), bindparam("correlations", type_=ARRAY(Uuid)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event to be: everything but its place in the stream and its signature."""

    message: type[Event]
    subject: str
    case_id: UUID
    data: dict[str, Any]
    agency: str = ""
    """The agency it is sent to; without one only those hear it who follow all events."""
    topic: str = ""
    """`<service>.<urgency>` of the referral it is about, by which the agency may sort it into queues."""
    causation: UUID | None = None
    sealed: dict[str, tuple[str, BaseModel]] = field(default_factory=dict)
    """section -> (recipient, content)"""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event on its way to one destination."""

    message_id: UUID
    exchange: str
    routing_key: str
    body: bytes
    event_id: UUID
    correlation_id: UUID


class Outbox:
    """Numbers, seals, signs and stores announcements."""

    def __init__(self, city: str, service: str, keys: Keys) -> None:
        self._source = service_source(city, service)
        self._keys = keys

    async def write(
        self, connection: AsyncConnection, announcements: Sequence[Announcement], now: datetime
    ) -> list[OutboxRow]:
        """Store one row for each destination of each announcement; three statements whatever their number."""
        positions = await self._positions(connection, announcements)
        rows = []
        for announcement, position in zip(announcements, positions, strict=True):
            event_id = uuid4()
            body = self._keys.sign(self._event(announcement, event_id, position, now))
            wire_name = announcement.message.WIRE_NAME
            rows += [
                OutboxRow(
                    uuid4(), exchange, routing_key(exchange, wire_name, announcement.agency, announcement.topic),
                    body, event_id, announcement.case_id,
                )
                for exchange in row_of(wire_name).exchanges
                if exchange == EVENTS or announcement.agency
            ]  # fmt: skip
        await connection.execute(
            _STORE,
            {
                "message_ids": [row.message_id for row in rows],
                "exchanges": [row.exchange for row in rows],
                "keys": [row.routing_key for row in rows],
                "bodies": [row.body for row in rows],
                "event_ids": [row.event_id for row in rows],
                "correlations": [row.correlation_id for row in rows],
                "due_at": now + HOT,
            },
        )
        return rows

    async def _positions(self, connection: AsyncConnection, announcements: Sequence[Announcement]) -> list[int]:
        counts: dict[str, int] = {}
        for announcement in announcements:
            counts[announcement.subject] = counts.get(announcement.subject, 0) + 1
        # Sorted, so that two transactions never wait for each other in a circle.
        subjects = sorted(counts)
        found = await connection.execute(
            _NEXT_SEQUENCES, {"subjects": subjects, "counts": [counts[subject] for subject in subjects]}
        )
        following = {subject: last - counts[subject] for subject, last in found}
        positions = []
        for announcement in announcements:
            following[announcement.subject] += 1
            positions.append(following[announcement.subject])
        return positions

    def _event(self, announcement: Announcement, event_id: UUID, position: int, now: datetime) -> dict[str, Any]:
        sealed = {
            section: self._keys.seal(
                content, recipient=recipient, event_id=event_id, case_id=announcement.case_id, section=section, now=now
            )
            for section, (recipient, content) in announcement.sealed.items()
        }
        # The constructor is strict: a field that the contract lacks or a value it forbids never leaves.
        event = announcement.message.model_validate(
            {
                "id": event_id,
                "source": self._source,
                "type": announcement.message.WIRE_NAME,
                "subject": announcement.subject,
                "time": now,
                "sequence": f"{position:010d}",
                "correlationid": announcement.case_id,
                "causationid": announcement.causation,
                "data": {**announcement.data, "sealed": sealed},
            }
        )
        return wire_json(event)

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

from simpul_runtime.held import Draft, HeldEvent, OutboxRow, hold, store_held
from simpul_runtime.signing import Keys
from simpul_schema import Event, service_source
from simpul_schema.catalog import row_of
from simpul_schema.names import EVENTS, routing_key

HOT: Final = timedelta(seconds=5)
"""How long the writer's own relay may take before any other may publish the row."""

_NEXT_SEQUENCES = text("""
    INSERT INTO stream (subject, last) SELECT * FROM unnest(:subjects, :counts)
    ON CONFLICT (subject) DO UPDATE SET last = stream.last + excluded.last
    RETURNING subject, last, ARRAY(
        SELECT DISTINCT h.exchange || ' ' || h.waits_for FROM held_event h WHERE h.subject = stream.subject)
""").bindparams(bindparam("subjects", type_=ARRAY(Text)), bindparam("counts", type_=ARRAY(BigInteger)))

_STORE = text("""
    INSERT INTO outbox (message_id, exchange, routing_key, body, signature, event_id, correlation_id, due_at)
    SELECT m, x, k, b, s, e, c, CAST(:due_at AS timestamptz)
    FROM unnest(:message_ids, :exchanges, :keys, :bodies, :signatures, :event_ids, :correlations)
        AS r (m, x, k, b, s, e, c)
""").bindparams(
    bindparam("message_ids", type_=ARRAY(Uuid)), bindparam("exchanges", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)), bindparam("bodies", type_=ARRAY(LargeBinary)),
    bindparam("signatures", type_=ARRAY(Text)),
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
    is_perishable: bool = False
    """Worth nothing later: not announced at all while this service has no valid key, instead of held."""


class Outbox:
    """Numbers, seals, signs and stores announcements."""

    def __init__(self, city: str, service: str, keys: Keys) -> None:
        self._source = service_source(city, service)
        self._keys = keys

    async def write(
        self, connection: AsyncConnection, announcements: Sequence[Announcement], now: datetime
    ) -> list[OutboxRow]:
        """Store one row for each destination of each announcement; three statements whatever their number.

        What cannot be sealed or signed now is held, and what follows it to the same destination with it. Returns the
        rows that may be published.
        """
        lapsed = "" if self._keys.can_sign(now) else self._keys.party
        announcements = [entry for entry in announcements if not (lapsed and entry.is_perishable)]
        if not announcements:
            return []
        positions, waits = await self._positions(connection, announcements)
        rows: list[OutboxRow] = []
        held: list[HeldEvent] = []
        for announcement, position in zip(announcements, positions, strict=True):
            body, signature = b"", ""
            drafts = self._drafts(announcement, position, now)
            without_key = drafts[0].recipients_without_key(self._keys, now) if drafts else frozenset()
            for draft in drafts:
                stream = announcement.subject, draft.exchange
                waits_for = waits.get(stream) or lapsed or draft.waits_for(without_key)
                if waits_for:
                    waits[stream] = waits_for
                    held.append(hold(draft, waits_for, self._keys))
                    continue
                if not body:
                    body = draft.body(self._keys, now, without_key)
                    signature = self._keys.sign(body, now)
                rows.append(draft.row(body, signature))
        await store_rows(connection, rows, now)
        await store_held(connection, held)
        return rows

    async def _positions(
        self, connection: AsyncConnection, announcements: Sequence[Announcement]
    ) -> tuple[list[int], dict[tuple[str, str], str]]:
        """The sequence of each, and for whose key earlier events of these streams wait, by subject and exchange."""
        counts: dict[str, int] = {}
        for announcement in announcements:
            counts[announcement.subject] = counts.get(announcement.subject, 0) + 1
        # Sorted, so that two transactions never wait for each other in a circle.
        subjects = sorted(counts)
        found = (
            await connection.execute(
                _NEXT_SEQUENCES, {"subjects": subjects, "counts": [counts[subject] for subject in subjects]}
            )
        ).all()
        following = {subject: last - counts[subject] for subject, last, _ in found}
        positions = []
        for announcement in announcements:
            following[announcement.subject] += 1
            positions.append(following[announcement.subject])
        waits = [(subject, *wait.split(" ")) for subject, _, subject_waits in found for wait in subject_waits]
        return positions, {(subject, exchange): party for subject, exchange, party in waits}

    def _drafts(self, announcement: Announcement, position: int, now: datetime) -> list[Draft]:
        event = self._event(announcement, uuid4(), position, now)
        sections = {
            section: (recipient, content.model_dump_json())
            for section, (recipient, content) in announcement.sealed.items()
        }
        wire_name, agency = announcement.message.WIRE_NAME, announcement.agency
        return [
            Draft(event, sections, agency, exchange, routing_key(exchange, wire_name, agency, announcement.topic))
            for exchange in row_of(wire_name).exchanges
            if exchange == EVENTS or agency
        ]

    def _event(self, announcement: Announcement, event_id: UUID, position: int, now: datetime) -> Event:
        # The constructor is strict: a field that the contract lacks or a value it forbids never leaves.
        return announcement.message.model_validate(
            {
                "id": event_id,
                "source": self._source,
                "type": announcement.message.WIRE_NAME,
                "subject": announcement.subject,
                "time": now,
                "sequence": f"{position:010d}",
                "correlationid": announcement.case_id,
                "causationid": announcement.causation,
                "data": announcement.data,
            }
        )


async def store_rows(connection: AsyncConnection, rows: Sequence[OutboxRow], now: datetime) -> None:
    """Put rows into the outbox, in this order."""
    if not rows:
        return
    await connection.execute(
        _STORE,
        {
            "message_ids": [row.message_id for row in rows],
            "exchanges": [row.exchange for row in rows],
            "keys": [row.routing_key for row in rows],
            "bodies": [row.body for row in rows],
            "signatures": [row.signature for row in rows],
            "event_ids": [row.event_id for row in rows],
            "correlations": [row.correlation_id for row in rows],
            "due_at": now + HOT,
        },
    )

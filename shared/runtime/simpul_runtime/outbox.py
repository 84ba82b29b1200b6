"""Writes events into the outbox, in the transaction that changes the state they report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text

from simpul_runtime.held_events import HeldEvent, hold_event, store_held_events
from simpul_runtime.outbox_message import OutboxMessage, store_messages
from simpul_runtime.signing import Keys
from simpul_runtime.unsigned_event import UnsignedEvent
from simpul_schema import Event, SectionContent, service_source
from simpul_schema.catalog import row_of
from simpul_schema.names import EVENTS, routing_key
from simpul_schema.tracing import current_traceparent

_NEXT_SEQUENCES = text("""
    INSERT INTO stream (subject, last) SELECT * FROM unnest(:subjects, :counts)
    ON CONFLICT (subject) DO UPDATE SET last = stream.last + excluded.last
    RETURNING subject, last, ARRAY(
        SELECT DISTINCT h.exchange || ' ' || h.waits_for FROM held_event h WHERE h.subject = stream.subject)
""").bindparams(bindparam("subjects", type_=ARRAY(Text)), bindparam("counts", type_=ARRAY(BigInteger)))


class UndeclaredSection(TypeError):
    """A section is sealed into a message that does not declare it, so its content is not part of the contract."""


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event to publish, before it has an id, a position in its stream and a signature."""

    message: type[Event]
    subject: str
    case_id: UUID
    data: dict[str, Any]
    agency: str = ""
    """The agency it is addressed to; empty for an event that only services receive."""
    topic: str = ""
    """`<service>.<urgency>` of its referral, by which an agency may sort events into queues."""
    causation: UUID | None = None
    sealed: dict[str, tuple[str, SectionContent]] = field(default_factory=dict)
    """Section -> (recipient, content); raises UndeclaredSection if the message does not declare the section."""
    is_perishable: bool = False
    """Whether the event is dropped, not held, if the service has no valid key to sign it with."""
    event_id: UUID | None = None
    """Chosen by the service where it has to recognise the event later; random otherwise."""
    traceparent: str = ""
    """Its trace, where it is enqueued neither while its cause is handled nor during the request that caused it."""

    def __post_init__(self) -> None:
        declared = {section.SECTION: section for section in self.message.SECTIONS}
        for name, (_, content) in self.sealed.items():
            if name not in declared or not isinstance(content, declared[name]):
                msg = f"{self.message.WIRE_NAME} declares no section {name} of {type(content).__name__}"
                raise UndeclaredSection(msg)


class Outbox:
    """Numbers, seals, signs and stores outgoing events."""

    def __init__(self, city: str, service: str, keys: Keys) -> None:
        self._source = service_source(city, service)
        self._keys = keys

    async def enqueue(
        self, connection: AsyncConnection, events: Sequence[OutgoingEvent], now: datetime
    ) -> list[OutboxMessage]:
        """Stores one message for each destination of each event, with three statements for any number of events.

        An event that cannot be sealed or signed now is held, and so is every later event of its stream to the same
        destination. Returns the messages that may be published.
        """
        keys = self._keys.freeze()
        keyless_signer = "" if keys.can_sign(now) else keys.party
        events = [event for event in events if not (keyless_signer and event.is_perishable)]
        if not events:
            return []
        sequences, awaited = await self._assign_sequences(connection, events)
        messages: list[OutboxMessage] = []
        held: list[HeldEvent] = []
        for event, sequence in zip(events, sequences, strict=True):
            body, signature = b"", ""
            traceparent = event.traceparent or current_traceparent(event.causation, event.case_id)
            copies = self._build_copies(event, sequence, now)
            without_key = copies[0].find_recipients_without_key(keys, now) if copies else frozenset()
            for copy in copies:
                stream = event.subject, copy.exchange
                waits_for = awaited.get(stream) or keyless_signer or copy.choose_awaited_party(without_key)
                if waits_for:
                    awaited[stream] = waits_for
                    held.append(hold_event(copy, waits_for, keys))
                    continue
                if not body:
                    body = copy.build_body(keys, now, without_key)
                    signature = keys.sign(body, now)
                messages.append(copy.to_message(body, signature, traceparent))
        await store_messages(connection, messages, now)
        await store_held_events(connection, held)
        return messages

    async def _assign_sequences(
        self, connection: AsyncConnection, events: Sequence[OutgoingEvent]
    ) -> tuple[list[int], dict[tuple[str, str], str]]:
        """Returns the sequence of each event, and the party that held events of a subject and exchange wait for."""
        counts = Counter(event.subject for event in events)
        # Sorted, so that two transactions lock the streams in the same order.
        subjects = sorted(counts)
        values = {"subjects": subjects, "counts": [counts[subject] for subject in subjects]}
        found = (await connection.execute(_NEXT_SEQUENCES, values)).all()
        last = {subject: highest - counts[subject] for subject, highest, _ in found}
        sequences = []
        for event in events:
            last[event.subject] += 1
            sequences.append(last[event.subject])
        awaited = [(subject, *entry.split(" ")) for subject, _, entries in found for entry in entries]
        return sequences, {(subject, exchange): party for subject, exchange, party in awaited}

    def _build_copies(self, outgoing: OutgoingEvent, sequence: int, now: datetime) -> list[UnsignedEvent]:
        """Builds the event once for each destination."""
        event = self._build_event(outgoing, sequence, now)
        sections = {
            section: (recipient, content.model_dump_json()) for section, (recipient, content) in outgoing.sealed.items()
        }
        wire_name, agency = outgoing.message.WIRE_NAME, outgoing.agency
        return [
            UnsignedEvent(event, sections, agency, exchange, routing_key(exchange, wire_name, agency, outgoing.topic))
            for exchange in row_of(wire_name).exchanges
            if exchange == EVENTS or agency
        ]

    def _build_event(self, outgoing: OutgoingEvent, sequence: int, now: datetime) -> Event:
        # Validated strictly: a field that the contract lacks or a value that it forbids is never published.
        return outgoing.message.model_validate(
            {
                "id": outgoing.event_id or uuid4(),
                "source": self._source,
                "type": outgoing.message.WIRE_NAME,
                "subject": outgoing.subject,
                "time": now,
                "sequence": f"{sequence:010d}",
                "correlationid": outgoing.case_id,
                "causationid": outgoing.causation,
                "data": outgoing.data,
            }
        )

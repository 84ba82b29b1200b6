"""Events that cannot be sealed or signed yet, because a party has no usable key.

They wait here, encrypted with the service's own key, and enter the outbox once the directory has a usable key: nothing
that is stored in this table was ever in the reach of the relay.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, LargeBinary, Text, Uuid

from simpul_runtime.signing import Keys
from simpul_schema import Event, SealedSection, message_class
from simpul_schema.envelope import wire_bytes, wire_json
from simpul_schema.names import EVENTS

MAX_STREAMS: Final = 50
"""Streams released in one transaction; a stream is a handful of events and is never split."""
_RELEASE_LOCK: Final = 7_135_713
"""Key of the advisory lock; any number does, as long as nothing else in a service's database uses it."""

_STORE_HELD = text("""
    INSERT INTO held_event (waits_for, exchange, routing_key, agency, subject, sequence, event_id, case_id, content)
    SELECT * FROM unnest(
        :parties, :exchanges, :keys, :agencies, :subjects, :sequences, :event_ids, :case_ids, :contents)
""").bindparams(
    bindparam("parties", type_=ARRAY(Text)), bindparam("exchanges", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)), bindparam("agencies", type_=ARRAY(Text)),
    bindparam("subjects", type_=ARRAY(Text)), bindparam("sequences", type_=ARRAY(BigInteger)),
    bindparam("event_ids", type_=ARRAY(Uuid)), bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("contents", type_=ARRAY(LargeBinary)),
)  # fmt: skip
_TRY_RELEASE_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_RELEASE_LOCK})")
_COUNT = text("""
    SELECT waits_for, count(*), extract(epoch FROM now() - min(held_at)) FROM held_event GROUP BY waits_for
""")
_NEXT_STREAMS = text("""
    WITH streams AS (
        SELECT subject, exchange FROM held_event WHERE waits_for = :party
        GROUP BY subject, exchange HAVING min(position) > :after ORDER BY min(position) LIMIT :most)
    SELECT h.position, h.waits_for, h.subject, h.sequence, h.agency, h.event_id, h.case_id, h.exchange, h.routing_key,
        h.content
    FROM held_event h JOIN streams USING (subject, exchange) ORDER BY h.position FOR UPDATE OF h
""")
_WAIT_FOR = text("UPDATE held_event SET waits_for = :party WHERE position = ANY(:positions)")
_DELETE = text("DELETE FROM held_event WHERE position = ANY(:positions)")


class VersionTooOld(Exception):
    """A newer version of the service holds an event of a type that this one does not know: start the newer one."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event on its way to one destination."""

    message_id: UUID
    exchange: str
    routing_key: str
    body: bytes
    signature: str
    """What travels beside the body; empty for a row of a version that put it inside."""
    event_id: UUID
    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class Draft:
    """An event with its position in the stream and one destination, before its sections are sealed and it is signed."""

    event: Event
    """As it goes on the wire, without sealed sections."""
    sections: dict[str, tuple[str, str]]
    """section -> (recipient, content as JSON)"""
    agency: str
    exchange: str
    routing_key: str

    @property
    def event_id(self) -> UUID:
        """The id of the event; its copies to other exchanges share it."""
        return self.event.id

    @property
    def case_id(self) -> UUID:
        """The case to which the sections are bound."""
        return self.event.correlationid

    def recipients_without_key(self, keys: Keys, now: datetime) -> frozenset[str]:
        """The recipients of its sections to whom nothing can be sealed now."""
        return frozenset(party for party, _ in self.sections.values() if not keys.has_usable_key(party, now))

    def waits_for(self, without_key: frozenset[str]) -> str:
        """Whose key this destination needs before it may be published; empty when none of these parties'.

        Services never read what is sealed to an agency, so their copy goes without it.
        """
        needed = (party for party in sorted(without_key) if self.exchange != EVENTS or party != self.agency)
        return next(needed, "")

    def body(self, keys: Keys, now: datetime, without_key: frozenset[str]) -> bytes:
        """The wire bytes: sealed to each recipient except these; UnknownKey when another has no key."""
        sealed = {
            section: SealedSection.model_validate(
                keys.seal(
                    content.encode(),
                    recipient=recipient,
                    event_id=self.event_id,
                    case_id=self.case_id,
                    section=section,
                    now=now,
                )
            )
            for section, (recipient, content) in self.sections.items()
            if recipient not in without_key
        }
        data = self.event.data.model_copy(update={"sealed": sealed})  # type: ignore[attr-defined]  # all have data
        return wire_bytes(self.event.model_copy(update={"data": data}))

    def row(self, body: bytes, signature: str) -> OutboxRow:
        """The outbox row of this destination."""
        return OutboxRow(uuid4(), self.exchange, self.routing_key, body, signature, self.event_id, self.case_id)


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """A stored draft; everything but its content stands in clear, and nothing of that is personal."""

    position: int
    """In the order in which they were held."""
    waits_for: str
    """The party whose usable key is missing."""
    subject: str
    sequence: int
    agency: str
    event_id: UUID
    case_id: UUID
    exchange: str
    routing_key: str
    content: bytes
    """The draft, encrypted with the service's own key."""

    @property
    def stream(self) -> tuple[str, str]:
        """What is released together: the events of one subject to one exchange."""
        return self.subject, self.exchange

    def draft(self, keys: Keys) -> Draft:
        """The event as it was announced; NotForUs when the content was altered or moved.

        VersionTooOld when a newer version of the service made it, ValidationError when the contract has changed.
        """
        stored = json.loads(keys.unlock(self.content, place=_context(self.event_id, self.exchange)))
        sections = {section: (recipient, content) for section, (recipient, content) in stored["sections"].items()}
        message = message_class(stored["event"]["type"])
        if message is None:
            raise VersionTooOld
        event = message.model_validate(stored["event"])
        return Draft(event, sections, self.agency, self.exchange, self.routing_key)


def hold(draft: Draft, waits_for: str, keys: Keys) -> HeldEvent:
    """The draft as it is stored until that party has a usable key; its position comes from the table."""
    content = json.dumps({"event": wire_json(draft.event), "sections": draft.sections}, ensure_ascii=False)
    return HeldEvent(
        0, waits_for, draft.event.subject, draft.event.position, draft.agency, draft.event_id,
        draft.case_id, draft.exchange, draft.routing_key,
        keys.lock(content.encode(), place=_context(draft.event_id, draft.exchange)),
    )  # fmt: skip


def _context(event_id: UUID, exchange: str) -> str:
    return f"held_event|{event_id}|{exchange}"


async def store_held(connection: AsyncConnection, held: Sequence[HeldEvent]) -> None:
    """Store events that cannot be published yet, in this order."""
    if not held:
        return
    await connection.execute(
        _STORE_HELD,
        {
            "parties": [event.waits_for for event in held],
            "exchanges": [event.exchange for event in held],
            "keys": [event.routing_key for event in held],
            "agencies": [event.agency for event in held],
            "subjects": [event.subject for event in held],
            "sequences": [event.sequence for event in held],
            "event_ids": [event.event_id for event in held],
            "case_ids": [event.case_id for event in held],
            "contents": [event.content for event in held],
        },
    )


async def count_held(connection: AsyncConnection) -> dict[str, tuple[int, float]]:
    """How many events wait for each party's key, and the age of the oldest in seconds."""
    found = await connection.execute(_COUNT)
    return {party: (count, float(age)) for party, count, age in found}


async def lock_release(connection: AsyncConnection) -> bool:
    """Whether this transaction alone releases events until it ends."""
    return bool((await connection.execute(_TRY_RELEASE_LOCK)).scalar())


async def load_streams(connection: AsyncConnection, party: str, after: int) -> list[list[HeldEvent]]:
    """Whole streams that begin behind that position and wait for that party, each in order."""
    found = await connection.execute(_NEXT_STREAMS, {"party": party, "after": after, "most": MAX_STREAMS})
    streams: dict[tuple[str, str], list[HeldEvent]] = {}
    for row in found:
        event = HeldEvent(*row)
        streams.setdefault(event.stream, []).append(event)
    return list(streams.values())


async def wait_for(connection: AsyncConnection, party: str, held: Sequence[HeldEvent]) -> None:
    """Let these events wait for another party's key."""
    await connection.execute(_WAIT_FOR, {"party": party, "positions": [event.position for event in held]})


async def delete_held(connection: AsyncConnection, held: Sequence[HeldEvent]) -> None:
    """Remove events that were released or are withheld."""
    if held:
        await connection.execute(_DELETE, {"positions": [event.position for event in held]})

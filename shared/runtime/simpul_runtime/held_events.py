"""Stores events that cannot be sealed or signed yet because a party has no usable key.

They are encrypted with the service's own key and enter the outbox once the key is usable. The relay reads the outbox
only, so it never publishes a held event.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, LargeBinary, Text, Uuid

from simpul_runtime.signing import Keys
from simpul_runtime.unsigned_event import UnsignedEvent
from simpul_schema import message_class
from simpul_schema.envelope import wire_json

MAX_STREAMS: Final = 50
"""Streams released in one transaction; a stream holds a handful of events and is never split."""
_ADVISORY_LOCK: Final = 7_135_713
"""Key of the advisory lock; arbitrary, but unique in a service's database."""

_STORE_HELD = text("""
    INSERT INTO held_event (waits_for, exchange, routing_key, agency, subject, sequence, event_id, case_id, content)
    SELECT * FROM unnest(
        :parties, :exchanges, :keys, :agencies, :subjects, :sequences, :event_ids, :case_ids, :contents)
""").bindparams(
    bindparam("parties", type_=ARRAY(Text)),
    bindparam("exchanges", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("agencies", type_=ARRAY(Text)),
    bindparam("subjects", type_=ARRAY(Text)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
    bindparam("event_ids", type_=ARRAY(Uuid)),
    bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("contents", type_=ARRAY(LargeBinary)),
)
_TRY_ADVISORY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_ADVISORY_LOCK})")
_COUNT = text("""
    SELECT waits_for, count(*), extract(epoch FROM now() - min(held_at)) FROM held_event GROUP BY waits_for
""")
_NEXT_STREAMS = text("""
    WITH streams AS (
        SELECT subject, exchange FROM held_event WHERE waits_for = :party
        GROUP BY subject, exchange HAVING min(position) > :after ORDER BY min(position) LIMIT :limit)
    SELECT h.position, h.waits_for, h.subject, h.sequence, h.agency, h.event_id, h.case_id, h.exchange, h.routing_key,
        h.content
    FROM held_event h JOIN streams USING (subject, exchange) ORDER BY h.position FOR UPDATE OF h
""")
_SET_AWAITED_PARTY = text("UPDATE held_event SET waits_for = :party WHERE position = ANY(:positions)")
_DELETE = text("DELETE FROM held_event WHERE position = ANY(:positions)")


class VersionTooOld(Exception):
    """A newer version of the service holds an event of a type that this version lacks; start the newer version."""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An unsigned event in the table; the content is encrypted, and the other columns hold nothing personal."""

    position: int
    """Position in the order of storing; assigned by the table."""
    waits_for: str
    """The party that has no usable key."""
    subject: str
    sequence: int
    agency: str
    event_id: UUID
    case_id: UUID
    exchange: str
    routing_key: str
    content: bytes
    """The event and its sections, encrypted with the service's own key."""

    @property
    def stream(self) -> tuple[str, str]:
        """The subject and exchange; the events of one stream are released together and in order."""
        return self.subject, self.exchange

    def decrypt_event(self, keys: Keys) -> UnsignedEvent:
        """Decrypts the event as it was enqueued.

        Raises NotForUs if the content was altered or moved to another row, VersionTooOld if a newer version of the
        service stored it, and ValidationError if the contract has changed since.
        """
        context = _encryption_context(self.event_id, self.exchange)
        stored = json.loads(keys.decrypt(self.content, associated_data=context))
        sections = {section: (recipient, content) for section, (recipient, content) in stored["sections"].items()}
        message = message_class(stored["event"]["type"])
        if message is None:
            raise VersionTooOld
        event = message.model_validate(stored["event"])
        return UnsignedEvent(event, sections, self.agency, self.exchange, self.routing_key)


def hold_event(unsigned: UnsignedEvent, waits_for: str, keys: Keys) -> HeldEvent:
    """Encrypts an event for storing until that party has a usable key."""
    content = json.dumps({"event": wire_json(unsigned.event), "sections": unsigned.sections}, ensure_ascii=False)
    return HeldEvent(
        position=0,
        waits_for=waits_for,
        subject=unsigned.event.subject,
        sequence=unsigned.event.position,
        agency=unsigned.agency,
        event_id=unsigned.event_id,
        case_id=unsigned.case_id,
        exchange=unsigned.exchange,
        routing_key=unsigned.routing_key,
        content=keys.encrypt(
            content.encode(), associated_data=_encryption_context(unsigned.event_id, unsigned.exchange)
        ),
    )


def _encryption_context(event_id: UUID, exchange: str) -> str:
    return f"held_event|{event_id}|{exchange}"


async def store_held_events(connection: AsyncConnection, held: Sequence[HeldEvent]) -> None:
    """Stores held events, in this order."""
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


async def count_held_events(connection: AsyncConnection) -> dict[str, tuple[int, float]]:
    """Counts the events that wait for each party's key; also returns the age of the oldest in seconds."""
    found = await connection.execute(_COUNT)
    return {party: (count, float(age)) for party, count, age in found}


async def try_advisory_lock(connection: AsyncConnection) -> bool:
    """Takes the lock for releasing events until the transaction ends; False if another process holds it."""
    return bool((await connection.execute(_TRY_ADVISORY_LOCK)).scalar())


async def load_held_streams(connection: AsyncConnection, party: str, after: int) -> list[list[HeldEvent]]:
    """Loads whole streams that wait for the party and start after that position, each in order."""
    found = await connection.execute(_NEXT_STREAMS, {"party": party, "after": after, "limit": MAX_STREAMS})
    streams: dict[tuple[str, str], list[HeldEvent]] = {}
    for row in found:
        event = HeldEvent(*row)
        streams.setdefault(event.stream, []).append(event)
    return list(streams.values())


async def set_awaited_party(connection: AsyncConnection, party: str, held: Sequence[HeldEvent]) -> None:
    """Makes held events wait for another party's key."""
    await connection.execute(_SET_AWAITED_PARTY, {"party": party, "positions": [event.position for event in held]})


async def delete_held_events(connection: AsyncConnection, held: Sequence[HeldEvent]) -> None:
    """Deletes events that were released or withheld."""
    if held:
        await connection.execute(_DELETE, {"positions": [event.position for event in held]})

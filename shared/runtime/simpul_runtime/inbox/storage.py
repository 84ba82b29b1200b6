"""The table `inbox`: one row for each verified event, with its body, encrypted, while it is not done."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, LargeBinary, Text, Uuid

from simpul_runtime.inbox.kept_messages import decrypt_delivery, encrypt_delivery
from simpul_runtime.inbox.ordering import Position
from simpul_runtime.inbox.verification import AcceptedEvent, Delivery
from simpul_runtime.signing import Keys

UNKNOWN_TYPE_DELAY: Final = timedelta(minutes=1)
"""Time until an event of a type that only a newer version of the service knows is tried again."""


class InboxState(StrEnum):
    """The state of an inbox message, as other transactions see it.

    A new event is inserted as `done`, because the same transaction handles it or changes the state before it commits;
    a state `received` until then would cost another statement for each batch.
    """

    DONE = "done"
    WAITING_FOR_PREDECESSOR = "waiting_for_predecessor"
    RETRYING = "retrying"


class StoredEvent(NamedTuple):
    """An event that is due to be handled; `decrypt_event` returns its message."""

    source: str
    event_id: UUID
    type: str
    body: bytes
    signature: str
    attempts: int

    @property
    def key(self) -> tuple[str, UUID]:
        """Source and id, which identify the event."""
        return self.source, self.event_id


_INSERT = text("""
    INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state)
    SELECT s, e, t, j, q, d, 'done' FROM unnest(:sources, :ids, :types, :subjects, :sequences, :digests)
        AS arrived (s, e, t, j, q, d)
    ON CONFLICT DO NOTHING RETURNING source, event_id
""").bindparams(
    bindparam("sources", type_=ARRAY(Text)),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("types", type_=ARRAY(Text)),
    bindparam("subjects", type_=ARRAY(Text)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
    bindparam("digests", type_=ARRAY(LargeBinary)),
)
_DIGESTS = text("""
    SELECT i.source, i.event_id, i.digest FROM inbox i
    JOIN unnest(:sources, :ids) AS k (s, e) ON i.source = k.s AND i.event_id = k.e
""").bindparams(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Uuid)))
_DONE_PREDECESSORS = text("""
    SELECT i.subject, i.source, i.sequence FROM inbox i
    JOIN unnest(:subjects, :sources, :sequences) AS k (j, s, q)
        ON i.subject = k.j AND i.source = k.s AND i.sequence = k.q - 1
    WHERE i.state = 'done'
""").bindparams(
    bindparam("subjects", type_=ARRAY(Text)),
    bindparam("sources", type_=ARRAY(Text)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
)
_KEEP = text("""
    UPDATE inbox SET state = :state, reason = :reason, body = :body,
        attempts = CAST(:attempts AS int),
        due_at = now() + least(interval '1 second' * 2 ^ CAST(:attempts AS int), interval '10 minutes')
    WHERE source = :source AND event_id = :event_id
""")
_MARK_DONE = text(
    "UPDATE inbox SET state = 'done', body = NULL, signature = NULL, reason = NULL, due_at = NULL"
    " WHERE source = :source AND event_id = :event_id"
)
_DELETE = text("DELETE FROM inbox WHERE source = :source AND event_id = :event_id")
_IS_DUE: Final = """
    w.state <> 'done' AND w.due_at IS NOT NULL AND (
        (w.state = 'retrying' AND w.due_at <= now()) OR
        (w.state = 'waiting_for_predecessor' AND EXISTS (
            SELECT FROM inbox p WHERE p.subject = w.subject AND p.source = w.source
                AND p.sequence = w.sequence - 1 AND p.state = 'done')))
"""
_DUE = text(f"""
    SELECT w.source, w.event_id, w.type, w.body, coalesce(w.signature, '') AS signature, w.attempts
    FROM inbox w WHERE {_IS_DUE}
    ORDER BY w.sequence LIMIT :limit FOR UPDATE OF w SKIP LOCKED
""")  # noqa: S608 - the condition is a constant of this file
_POSTPONE_NEXT = text(f"""
    WITH next AS MATERIALIZED (
        SELECT w.source, w.event_id FROM inbox w WHERE {_IS_DUE}
        ORDER BY w.sequence LIMIT 1 FOR UPDATE OF w SKIP LOCKED)
    UPDATE inbox i SET state = 'retrying', reason = 'unstorable', due_at = now() + interval '10 minutes'
    FROM next WHERE (i.source, i.event_id) = (next.source, next.event_id)
""")  # noqa: S608 - the condition is a constant of this file
_POSTPONE_UNKNOWN_TYPE = text("""
    UPDATE inbox SET state = 'retrying', reason = 'unknown_type', due_at = now() + :delay
    WHERE source = :source AND event_id = :event_id
""")
_UNFINISHED = text("""
    SELECT state, count(*), coalesce(extract(epoch FROM now() - min(received_at)), 0)
    FROM inbox WHERE state <> 'done' GROUP BY state
""")


async def insert_events(connection: AsyncConnection, events: Collection[AcceptedEvent]) -> set[tuple[str, UUID]]:
    """Inserts the events that are new, and returns their keys."""
    # Sorted, so that two transactions lock the rows in the same order.
    entries = sorted(events, key=lambda entry: (entry.event.source, str(entry.event.id)))
    inserted = await connection.execute(
        _INSERT,
        {
            "sources": [entry.event.source for entry in entries],
            "ids": [entry.event.id for entry in entries],
            "types": [entry.event.type for entry in entries],
            "subjects": [entry.event.subject for entry in entries],
            "sequences": [entry.event.position for entry in entries],
            "digests": [entry.delivery.digest for entry in entries],
        },
    )
    return {(source, event_id) for source, event_id in inserted}


async def load_digests(
    connection: AsyncConnection, events: Sequence[AcceptedEvent]
) -> Mapping[tuple[str, UUID], bytes]:
    """Loads the stored digests of events, by key."""
    values = {"sources": [entry.event.source for entry in events], "ids": [entry.event.id for entry in events]}
    found = await connection.execute(_DIGESTS, values)
    return {(source, event_id): digest for source, event_id, digest in found}


async def find_done_predecessors(connection: AsyncConnection, events: Sequence[AcceptedEvent]) -> set[Position]:
    """Finds the predecessors of events that are done."""
    found = await connection.execute(
        _DONE_PREDECESSORS,
        {
            "subjects": [entry.event.subject for entry in events],
            "sources": [entry.event.source for entry in events],
            "sequences": [entry.event.position for entry in events],
        },
    )
    return {((subject, source), sequence) for subject, source, sequence in found}


async def keep_event(
    connection: AsyncConnection, keys: Keys, entry: AcceptedEvent, state: InboxState, reason: str, attempts: int
) -> None:
    """Keeps an event that was not handled, with its message encrypted, until it is due again."""
    await connection.execute(
        _KEEP,
        {
            "state": state.value,
            "reason": reason,
            "body": encrypt_delivery(entry.delivery, keys, row=_row(*entry.key)),
            "attempts": attempts,
            "source": entry.event.source,
            "event_id": entry.event.id,
        },
    )


async def load_due_events(connection: AsyncConnection, limit: int) -> list[StoredEvent]:
    """Loads and locks events that are due: retries, and events whose predecessor is done."""
    return [StoredEvent(*row) for row in await connection.execute(_DUE, {"limit": limit})]


def decrypt_event(stored: StoredEvent, keys: Keys) -> Delivery:
    """Returns the message of a stored event; raises NotForUs if it was altered."""
    delivery = Delivery(stored.body, stored.signature, "", stored.type)
    return decrypt_delivery(delivery, keys, row=_row(*stored.key))


def _row(source: str, event_id: UUID) -> str:
    return f"inbox|{source}|{event_id}"


async def mark_done(connection: AsyncConnection, key: tuple[str, UUID]) -> None:
    """Marks an event as done and removes its body."""
    await connection.execute(_MARK_DONE, {"source": key[0], "event_id": key[1]})


async def delete_event(connection: AsyncConnection, key: tuple[str, UUID]) -> None:
    """Deletes an event, so that it counts as new when it is replayed."""
    await connection.execute(_DELETE, {"source": key[0], "event_id": key[1]})


async def postpone_unknown_type(connection: AsyncConnection, key: tuple[str, UUID]) -> None:
    """Postpones an event of a type that this version of the service does not know."""
    values = {"source": key[0], "event_id": key[1], "delay": UNKNOWN_TYPE_DELAY}
    await connection.execute(_POSTPONE_UNKNOWN_TYPE, values)


async def postpone_next(connection: AsyncConnection) -> int:
    """Postpones the next due event, whose outcome cannot be stored; returns 0 if none is due."""
    return (await connection.execute(_POSTPONE_NEXT)).rowcount


async def count_unfinished(connection: AsyncConnection) -> Mapping[str, tuple[int, float]]:
    """Counts the events that are not done by state; also returns the age of the oldest in seconds."""
    return {state: (count, float(age)) for state, count, age in await connection.execute(_UNFINISHED)}

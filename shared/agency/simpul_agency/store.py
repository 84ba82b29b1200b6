"""What an agency has received and what it still has to say, kept so that neither a crash nor an outage loses it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Optional

from simpul_agency.drivers import Driver, Tables

DONE: Final = "done"
NEW: Final = "new"
PARKED: Final = "parked"

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS received (
        source text NOT NULL, event_id text NOT NULL, subject text NOT NULL, sequence bigint NOT NULL,
        type text NOT NULL, digest text NOT NULL, body {blob} NOT NULL, state text NOT NULL,
        reason text NOT NULL, attempts integer NOT NULL, received_at double precision NOT NULL,
        due_at double precision NOT NULL, PRIMARY KEY (source, event_id))""",
    "CREATE INDEX IF NOT EXISTS received_due ON received (due_at) WHERE state = 'new'",
    "CREATE INDEX IF NOT EXISTS received_stream ON received (subject, sequence)",
    """CREATE TABLE IF NOT EXISTS unreadable (
        digest text PRIMARY KEY, body {blob} NOT NULL, reason text NOT NULL, received_at double precision NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS reply (
        position {serial}, event_id text NOT NULL UNIQUE, subject text NOT NULL, wire_name text NOT NULL,
        correlation_id text NOT NULL, body {blob} NOT NULL, published_at double precision)""",
    "CREATE INDEX IF NOT EXISTS reply_waiting ON reply (position) WHERE published_at IS NULL",
    "CREATE TABLE IF NOT EXISTS stream (subject text PRIMARY KEY, last bigint NOT NULL)",
)
_RECEIVE: Final = """
    INSERT INTO received (source, event_id, subject, sequence, type, digest, body, state, reason, attempts,
        received_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING
"""
_DUE: Final = """
    SELECT source, event_id, subject, type, body, attempts FROM received e
    WHERE state = 'new' AND due_at <= ? AND (sequence = 1 OR received_at <= ? OR EXISTS (
        SELECT 1 FROM received p WHERE p.subject = e.subject AND p.source = e.source
            AND p.sequence = e.sequence - 1 AND p.state <> 'new'))
    ORDER BY due_at, sequence LIMIT ?
"""
_ADD_REPLY: Final = """
    INSERT INTO reply (event_id, subject, wire_name, correlation_id, body) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_SET_LAST: Final = """
    INSERT INTO stream (subject, last) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET last = excluded.last
"""


@dataclass(frozen=True)
class Draft:
    """A reply that has no place in its stream yet."""

    subject: str
    wire_name: str
    event_id: str
    correlation_id: str
    finish: Callable[[int], bytes] = field(repr=False, compare=False)
    """The signed bytes once the place is known."""


@dataclass(frozen=True)
class Arrived:
    """An event that was verified and read, or parked with a reason although it was read."""

    source: str
    event_id: str
    subject: str
    sequence: int
    type: str
    body: bytes = field(repr=False)
    parked: str = ""
    replies: tuple[Draft, ...] = ()

    @property
    def digest(self) -> str:
        """The same for the same bytes."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Unreadable:
    """A message that is no event of the contract, with the reason."""

    body: bytes = field(repr=False)
    reason: str


@dataclass(frozen=True)
class Due:
    """An event whose turn has come."""

    source: str
    event_id: str
    subject: str
    type: str
    body: bytes = field(repr=False)
    attempts: int


@dataclass(frozen=True)
class Handled:
    """What became of an event: done with its replies, or to be tried again at a moment."""

    source: str
    event_id: str
    replies: tuple[Draft, ...] = ()
    again_at: Optional[float] = None
    reason: str = ""


@dataclass(frozen=True)
class Outgoing:
    """A reply on its way."""

    position: int
    wire_name: str
    correlation_id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Parked:
    """A message set aside."""

    name: str
    """The event id, or the digest of what could not be read."""
    type: str
    reason: str


class Store:
    """One process works on a store at a time."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open(self) -> None:
        """Connect, and make what is missing."""
        await self._driver.open()
        async with self._driver.transaction() as tables:
            for statement in _TABLES:
                await tables.write(statement.format(**self._driver.types), [()])

    async def close(self) -> None:
        """Disconnect."""
        await self._driver.close()

    async def take(self, messages: Sequence["Arrived | Unreadable"], now: float) -> None:
        """Keep what arrived, each event once, with the replies that say so.

        The same id with other bytes is set aside as altered.
        """
        arrived = [message for message in messages if isinstance(message, Arrived)]
        unread = [message for message in messages if isinstance(message, Unreadable)]
        async with self._driver.transaction() as tables:
            known = {
                (source, event_id): digest
                for source, event_id, digest in await _among(
                    tables,
                    "SELECT source, event_id, digest FROM received WHERE event_id",
                    [a.event_id for a in arrived],
                )
            }
            new: dict[tuple[str, str], Arrived] = {}
            for event in arrived:
                key = event.source, event.event_id
                before = known.get(key) or (new[key].digest if key in new else event.digest)
                if before != event.digest:
                    unread.append(Unreadable(event.body, "altered"))
                elif key not in known:
                    new.setdefault(key, event)
            await tables.write(
                _RECEIVE,
                [
                    (e.source, e.event_id, e.subject, e.sequence, e.type, e.digest, e.body,
                     PARKED if e.parked else NEW, e.parked, now, now)
                    for e in new.values()
                ],
            )  # fmt: skip
            await tables.write(
                "INSERT INTO unreadable (digest, body, reason, received_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(sha256(message.body).hexdigest(), message.body, message.reason, now) for message in unread],
            )
            await _write_replies(tables, [draft for event in new.values() for draft in event.replies])

    async def due(self, now: float, patience: float, most: int) -> list[Due]:
        """Events whose turn has come: predecessor passed, or waited for in vain for `patience` seconds."""
        async with self._driver.transaction() as tables:
            return [Due(*row) for row in await tables.fetch(_DUE, now, now - patience, most)]

    async def finish(self, handled: Sequence[Handled]) -> None:
        """What handlers did and said, together."""
        done = [event for event in handled if event.again_at is None]
        again = [event for event in handled if event.again_at is not None]
        async with self._driver.transaction() as tables:
            await tables.write(
                "UPDATE received SET state = 'done', reason = '' WHERE source = ? AND event_id = ?",
                [(event.source, event.event_id) for event in done],
            )
            await tables.write(
                "UPDATE received SET attempts = attempts + 1, due_at = ?, reason = ? WHERE source = ? AND event_id = ?",
                [(event.again_at, event.reason, event.source, event.event_id) for event in again],
            )
            await _write_replies(tables, [draft for event in done for draft in event.replies])

    async def say(self, drafts: Sequence[Draft]) -> None:
        """Keep replies that are made outside a handler."""
        async with self._driver.transaction() as tables:
            await _write_replies(tables, drafts)

    async def unpublished(self, most: int) -> list[Outgoing]:
        """Replies that the broker has not confirmed, in order."""
        query = (
            "SELECT position, wire_name, correlation_id, body FROM reply WHERE published_at IS NULL "
            "ORDER BY position LIMIT ?"
        )
        async with self._driver.transaction() as tables:
            return [Outgoing(*row) for row in await tables.fetch(query, most)]

    async def published(self, positions: Sequence[int], now: float) -> None:
        """The broker has them."""
        async with self._driver.transaction() as tables:
            await tables.write(
                "UPDATE reply SET published_at = ? WHERE position = ?", [(now, position) for position in positions]
            )

    async def first_of(self, subject: str) -> Optional[bytes]:
        """The event that began a stream, such as the offer of a referral; None when it never came."""
        query = "SELECT body FROM received WHERE subject = ? AND sequence = 1 AND state <> 'parked'"
        async with self._driver.transaction() as tables:
            rows = await tables.fetch(query, subject)
        return bytes(rows[0][0]) if rows else None

    async def parked(self) -> list[Parked]:
        """What was set aside, the oldest first."""
        async with self._driver.transaction() as tables:
            events = await tables.fetch(
                "SELECT event_id, type, reason FROM received WHERE state = 'parked' ORDER BY received_at"
            )
            unread = await tables.fetch("SELECT digest, '', reason FROM unreadable ORDER BY received_at")
        return [Parked(*row) for row in (*events, *unread)]

    async def take_out(self, name: str) -> Optional[bytes]:
        """Give back what was set aside, so that it can be read again; None when there is nothing of that name."""
        async with self._driver.transaction() as tables:
            events = await tables.fetch("SELECT body FROM received WHERE event_id = ? AND state = 'parked'", name)
            unread = await tables.fetch("SELECT body FROM unreadable WHERE digest = ?", name)
            await tables.write("DELETE FROM received WHERE event_id = ? AND state = 'parked'", [(name,)])
            await tables.write("DELETE FROM unreadable WHERE digest = ?", [(name,)])
        return bytes((*events, *unread)[0][0]) if events or unread else None

    async def backlog(self) -> tuple[int, int, int]:
        """How many events wait for their handler, how many replies for the broker, how much is parked."""
        async with self._driver.transaction() as tables:
            [[waiting]] = await tables.fetch("SELECT count(*) FROM received WHERE state = 'new'")
            [[unsaid]] = await tables.fetch("SELECT count(*) FROM reply WHERE published_at IS NULL")
            [[parked]] = await tables.fetch(
                "SELECT (SELECT count(*) FROM received WHERE state = 'parked') + (SELECT count(*) FROM unreadable)"
            )
        return waiting, unsaid, parked


async def _among(tables: Tables, query: str, values: Iterable[str]) -> list[tuple[str, ...]]:
    """The rows in which the last column of the query is one of the values."""
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return []
    return await tables.fetch(f"{query} IN ({', '.join('?' * len(wanted))})", *wanted)


async def _write_replies(tables: Tables, drafts: Sequence[Draft]) -> None:
    """Give each reply the next place in its stream, and sign it there."""
    if not drafts:
        return
    rows = await _among(tables, "SELECT subject, last FROM stream WHERE subject", [draft.subject for draft in drafts])
    said = await _among(tables, "SELECT event_id FROM reply WHERE event_id", [draft.event_id for draft in drafts])
    last = {subject: int(number) for subject, number in rows}
    known = {event_id for (event_id,) in said}
    written = []
    for draft in drafts:
        if draft.event_id in known:
            continue
        known.add(draft.event_id)
        last[draft.subject] = last.get(draft.subject, 0) + 1
        body = draft.finish(last[draft.subject])
        written.append((draft.event_id, draft.subject, draft.wire_name, draft.correlation_id, body))
    await tables.write(_ADD_REPLY, written)
    await tables.write(_SET_LAST, list(last.items()))

"""What an agency has received and what it still has to say, kept so that neither a crash nor an outage loses it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
_UNPUBLISHED: Final = """
    SELECT event_id, wire_name, correlation_id, body FROM reply WHERE published_at IS NULL ORDER BY position LIMIT ?
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

    event_id: str
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

        async def work(tables: Tables) -> None:
            for statement in _TABLES:
                await tables.write(statement.format(**self._driver.types), [()])

        await self._driver.run(work)

    async def close(self) -> None:
        """Disconnect."""
        await self._driver.close()

    async def take(self, messages: Sequence["Arrived | Unreadable"], now: float) -> tuple[list[Due], list[Outgoing]]:
        """Keep what arrived, each event once, with the replies that say so.

        Returns the new events that wait for nothing, and those replies. The same id with other bytes is set aside as
        altered.
        """
        arrived = [message for message in messages if isinstance(message, Arrived)]
        unread = [message for message in messages if isinstance(message, Unreadable)]

        async def work(tables: Tables) -> tuple[list[Due], list[Outgoing]]:
            query = "SELECT source, event_id, digest FROM received WHERE event_id"
            known = {row[:2]: row[2] for row in await _among(tables, query, (event.event_id for event in arrived))}
            new, altered = _sorted_out(arrived, known)
            await tables.write(
                _RECEIVE,
                [
                    (e.source, e.event_id, e.subject, e.sequence, e.type, e.digest, e.body,
                     PARKED if e.parked else NEW, e.parked, now, now)
                    for e in new
                ],
            )  # fmt: skip
            await tables.write(
                "INSERT INTO unreadable (digest, body, reason, received_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(sha256(one.body).hexdigest(), one.body, one.reason, now) for one in (*unread, *altered)],
            )
            said = await _write_replies(tables, [draft for event in new for draft in event.replies])
            ready = [
                Due(e.source, e.event_id, e.subject, e.type, e.body, 0) for e in new if e.sequence == 1 and not e.parked
            ]
            return ready, said

        return await self._driver.run(work)

    async def due(self, now: float, patience: float, most: int) -> tuple[list[Due], int, float]:
        """Events whose turn has come; how many are not done, those included; and the next moment of one of them.

        Its turn has come when its predecessor has passed, or was waited for in vain for `patience` seconds.
        """

        async def work(tables: Tables) -> tuple[list[Due], int, float]:
            found = [Due(*row) for row in await tables.fetch(_DUE, now, now - patience, most)]
            query = "SELECT count(*), coalesce(min(due_at), 0) FROM received WHERE state = 'new'"
            [[waiting, next_at]] = await tables.fetch(query)
            return found, waiting, next_at

        return await self._driver.run(work, survives_power_cut=False)

    async def finish(self, handled: Sequence[Handled]) -> list[Outgoing]:
        """What handlers did and said, together; returns what they said."""
        done = [event for event in handled if event.again_at is None]
        again = [event for event in handled if event.again_at is not None]

        async def work(tables: Tables) -> list[Outgoing]:
            await tables.write(
                "UPDATE received SET state = 'done', reason = '' WHERE source = ? AND event_id = ?",
                [(event.source, event.event_id) for event in done],
            )
            await tables.write(
                "UPDATE received SET attempts = attempts + 1, due_at = ?, reason = ? WHERE source = ? AND event_id = ?",
                [(event.again_at, event.reason, event.source, event.event_id) for event in again],
            )
            return await _write_replies(tables, [draft for event in done for draft in event.replies])

        return await self._driver.run(work)

    async def say(self, drafts: Sequence[Draft]) -> list[Outgoing]:
        """Keep replies that are made outside a handler."""
        return await self._driver.run(lambda tables: _write_replies(tables, drafts))

    async def unpublished(self, most: int) -> list[Outgoing]:
        """Replies that the broker has not confirmed, in order."""

        async def work(tables: Tables) -> list[Outgoing]:
            return [Outgoing(*row) for row in await tables.fetch(_UNPUBLISHED, most)]

        return await self._driver.run(work, survives_power_cut=False)

    async def published(self, replies: Sequence[Outgoing], now: float) -> None:
        """The broker has them; a machine that forgets it says them again, and the city knows them."""

        async def work(tables: Tables) -> None:
            rows = [(now, reply.event_id) for reply in replies]
            await tables.write("UPDATE reply SET published_at = ? WHERE event_id = ?", rows)

        await self._driver.run(work, survives_power_cut=False)

    async def first_of(self, subject: str) -> Optional[bytes]:
        """The event that began a stream, such as the offer of a referral; None when it never came."""
        query = "SELECT body FROM received WHERE subject = ? AND sequence = 1 AND state <> 'parked'"
        rows = await self._driver.run(lambda tables: tables.fetch(query, subject), survives_power_cut=False)
        return bytes(rows[0][0]) if rows else None

    async def parked(self) -> list[Parked]:
        """What was set aside, the oldest first."""
        query = """
            SELECT name, type, reason FROM (
                SELECT event_id AS name, type, reason, received_at FROM received WHERE state = 'parked'
                UNION ALL SELECT digest, '', reason, received_at FROM unreadable) aside
            ORDER BY received_at
        """
        rows = await self._driver.run(lambda tables: tables.fetch(query), survives_power_cut=False)
        return [Parked(*row) for row in rows]

    async def take_out(self, name: str) -> Optional[bytes]:
        """Give back what was set aside, so that it can be read again; None when there is nothing of that name."""

        async def work(tables: Tables) -> Optional[bytes]:
            events = await tables.fetch("SELECT body FROM received WHERE event_id = ? AND state = 'parked'", name)
            unread = await tables.fetch("SELECT body FROM unreadable WHERE digest = ?", name)
            await tables.write("DELETE FROM received WHERE event_id = ? AND state = 'parked'", [(name,)])
            await tables.write("DELETE FROM unreadable WHERE digest = ?", [(name,)])
            return bytes((*events, *unread)[0][0]) if events or unread else None

        return await self._driver.run(work)

    async def backlog(self) -> tuple[int, int, int]:
        """How many events wait for their handler, how many replies for the broker, how much is parked."""
        query = """
            SELECT (SELECT count(*) FROM received WHERE state = 'new'),
                (SELECT count(*) FROM reply WHERE published_at IS NULL),
                (SELECT count(*) FROM received WHERE state = 'parked') + (SELECT count(*) FROM unreadable)
        """
        [row] = await self._driver.run(lambda tables: tables.fetch(query), survives_power_cut=False)
        return row[0], row[1], row[2]


def _sorted_out(
    arrived: Iterable[Arrived], known: Mapping[tuple[str, ...], str]
) -> tuple[list[Arrived], list[Unreadable]]:
    """Those that are new, each once, and those that say something else under a known id."""
    new: dict[tuple[str, ...], Arrived] = {}
    altered = []
    for event in arrived:
        key = event.source, event.event_id
        before = known.get(key) or (new[key].digest if key in new else event.digest)
        if before != event.digest:
            altered.append(Unreadable(event.body, "altered"))
        elif key not in known:
            new.setdefault(key, event)
    return list(new.values()), altered


async def _among(tables: Tables, query: str, values: Iterable[str]) -> list[tuple[str, ...]]:
    """The rows in which the last column of the query is one of the values."""
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return []
    return await tables.fetch(f"{query} IN ({', '.join('?' * len(wanted))})", *wanted)


async def _write_replies(tables: Tables, drafts: Sequence[Draft]) -> list[Outgoing]:
    """Give each reply the next place in its stream, and sign it there."""
    if not drafts:
        return []
    rows = await _among(tables, "SELECT subject, last FROM stream WHERE subject", [draft.subject for draft in drafts])
    said = await _among(tables, "SELECT event_id FROM reply WHERE event_id", [draft.event_id for draft in drafts])
    last = {subject: int(number) for subject, number in rows}
    known = {event_id for (event_id,) in said}
    written: list[tuple[str, Outgoing]] = []
    for draft in drafts:
        if draft.event_id in known:
            continue
        known.add(draft.event_id)
        last[draft.subject] = last.get(draft.subject, 0) + 1
        body = draft.finish(last[draft.subject])
        written.append((draft.subject, Outgoing(draft.event_id, draft.wire_name, draft.correlation_id, body)))
    await tables.write(
        _ADD_REPLY,
        [(reply.event_id, subject, reply.wire_name, reply.correlation_id, reply.body) for subject, reply in written],
    )
    await tables.write(_SET_LAST, list(last.items()))
    return [reply for _, reply in written]

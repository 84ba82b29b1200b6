"""What an agency has received and what it still has to say, kept so that neither a crash nor an outage loses it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Optional

from simpul_agency.drivers import Driver, Tables
from simpul_agency.records import (
    Account,
    Arrived,
    Draft,
    Due,
    Gap,
    Handled,
    Message,
    Outgoing,
    Parked,
    Standing,
    Stream,
    Unreadable,
)

Report = Callable[[str, str, Optional[str]], Draft]
"""What is said to the city of a message that was set aside: reason, digest, event id where it was read."""

MOST_HOLES: Final = 20
"""Ranges that are asked for at once."""
NEW: Final = "new"
PARKED: Final = "parked"

_TABLES: Final = (
    # The key begins with the id: whether an event is known is asked by the id alone.
    """CREATE TABLE IF NOT EXISTS received (
        source text NOT NULL, event_id text NOT NULL, subject text NOT NULL, sequence bigint NOT NULL,
        type text NOT NULL, digest text NOT NULL, body {blob} NOT NULL, state text NOT NULL,
        reason text NOT NULL, attempts integer NOT NULL, received_at double precision NOT NULL,
        due_at double precision NOT NULL, PRIMARY KEY (event_id, source))""",
    "CREATE INDEX IF NOT EXISTS received_due ON received (due_at) WHERE state = 'new'",
    "CREATE INDEX IF NOT EXISTS received_type ON received (type, received_at)",
    "CREATE INDEX IF NOT EXISTS received_stream ON received (subject, sequence)",
    """CREATE TABLE IF NOT EXISTS unreadable (
        digest text PRIMARY KEY, body {blob} NOT NULL, reason text NOT NULL, received_at double precision NOT NULL,
        source text NOT NULL, event_id text NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS unreadable_event ON unreadable (event_id, source)",
    """CREATE TABLE IF NOT EXISTS reply (
        position {serial}, event_id text NOT NULL UNIQUE, subject text NOT NULL, wire_name text NOT NULL,
        correlation_id text NOT NULL, body {blob} NOT NULL, published_at double precision)""",
    "CREATE INDEX IF NOT EXISTS reply_waiting ON reply (position) WHERE published_at IS NULL",
    "CREATE TABLE IF NOT EXISTS stream (subject text PRIMARY KEY, last bigint NOT NULL)",
    """CREATE TABLE IF NOT EXISTS account (
        source text NOT NULL, number bigint NOT NULL, event_id text NOT NULL, is_withheld integer NOT NULL,
        PRIMARY KEY (source, number))""",
    """CREATE TABLE IF NOT EXISTS city (
        source text PRIMARY KEY, sequence bigint NOT NULL, last_number bigint NOT NULL, settled bigint NOT NULL,
        heard_at double precision NOT NULL, said_at double precision NOT NULL,
        quiet_until double precision NOT NULL)""",
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
_HEAR: Final = """
    INSERT INTO city (source, sequence, last_number, settled, heard_at, said_at, quiet_until)
    VALUES (?, ?, ?, 0, ?, ?, ?)
    ON CONFLICT (source) DO UPDATE SET
        last_number = CASE WHEN excluded.last_number > city.last_number THEN excluded.last_number
            ELSE city.last_number END,
        heard_at = CASE WHEN excluded.sequence > city.sequence THEN excluded.heard_at ELSE city.heard_at END,
        said_at = CASE WHEN excluded.sequence > city.sequence THEN excluded.said_at ELSE city.said_at END,
        quiet_until = CASE WHEN excluded.sequence > city.sequence THEN excluded.quiet_until ELSE city.quiet_until END,
        sequence = CASE WHEN excluded.sequence > city.sequence THEN excluded.sequence ELSE city.sequence END
"""
_HELD: Final = """
    SELECT number FROM account a WHERE source = ? AND number > ? AND (is_withheld = 1 OR EXISTS (
        SELECT 1 FROM received r WHERE r.source = a.source AND r.event_id = a.event_id) OR EXISTS (
        SELECT 1 FROM unreadable u WHERE u.source = a.source AND u.event_id = a.event_id))
    ORDER BY number
"""
_GAPS: Final = """
    SELECT e.subject, e.sequence, e.body, (
        SELECT b.body FROM received b WHERE b.subject = e.subject AND b.source = e.source AND b.sequence < e.sequence
        ORDER BY b.sequence DESC LIMIT 1), e.received_at
    FROM received e WHERE e.state = 'new' AND e.sequence > 1 AND NOT EXISTS (
        SELECT 1 FROM received p WHERE p.subject = e.subject AND p.source = e.source AND p.sequence = e.sequence - 1)
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

    async def take(
        self, messages: Sequence[Message], now: float, report: Report, *, instead_of: str = ""
    ) -> tuple[list[Due], list[Outgoing]]:
        """Keep what arrived, each event once, with the replies that say so.

        What cannot be used is kept aside, and `report` makes what tells the city so, once. The same id with other
        bytes is set aside as altered. What was set aside as `instead_of` is taken out. Returns the new events that wait
        for nothing, and the replies.
        """
        arrived = [message for message in messages if isinstance(message, Arrived)]
        unread = [message for message in messages if isinstance(message, Unreadable)]
        accounts = [message for message in messages if isinstance(message, Account)]

        async def work(tables: Tables) -> tuple[list[Due], list[Outgoing]]:
            if instead_of:
                await tables.write("DELETE FROM received WHERE event_id = ? AND state = 'parked'", [(instead_of,)])
                await tables.write("DELETE FROM unreadable WHERE digest = ?", [(instead_of,)])
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
                "INSERT INTO unreadable (digest, body, reason, received_at, source, event_id)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(one.digest, one.body, one.reason, now, one.source, one.event_id) for one in (*unread, *altered)],
            )
            aside = [report(one.reason, one.digest, None) for one in (*unread, *altered)]
            aside += [report(e.parked, e.digest, e.event_id) for e in new if e.parked]
            await _write_accounts(tables, accounts, now)
            said = await _write_replies(tables, [*aside, *(draft for event in new for draft in event.replies)])
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

    async def settle(self) -> list[Standing]:
        """Compare what is held with the city's accounts."""

        async def work(tables: Tables) -> list[Standing]:
            query = "SELECT source, last_number, settled, heard_at, said_at, quiet_until FROM city ORDER BY source"
            return [await _settled(tables, *row) for row in await tables.fetch(query)]

        return await self._driver.run(work, survives_power_cut=False)

    async def gaps(self, until: float) -> tuple[list[Gap], bool]:
        """Events that wait since before `until` for one that never came, and whether others wait since later."""
        rows = await self._driver.run(lambda tables: tables.fetch(_GAPS), survives_power_cut=False)
        old = [row for row in rows if row[4] <= until]
        found = [Gap(row[0], row[1], bytes(row[2]), bytes(row[3]) if row[3] is not None else None) for row in old]
        return found, len(old) < len(rows)

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

    async def streams(self, most: int, subject: str = "") -> list[Stream]:
        """The newest referrals with what was said about them; or one of them."""
        offers = """
            SELECT subject, body FROM received WHERE type = 'referral.offered.v1' AND state <> 'parked'
            ORDER BY received_at DESC LIMIT ?
        """
        offer = """
            SELECT subject, body FROM received WHERE type = 'referral.offered.v1' AND state <> 'parked'
                AND subject = ? LIMIT ?
        """
        events = "SELECT type, body, subject FROM received WHERE state <> 'parked' AND subject"
        replies = "SELECT wire_name, position, subject FROM reply WHERE subject"

        async def work(tables: Tables) -> list[Stream]:
            found = await (tables.fetch(offer, subject, most) if subject else tables.fetch(offers, most))
            subjects = [row[0] for row in found]
            said = sorted(await _among(tables, replies, subjects), key=lambda row: row[1])
            told = await _among(tables, events, subjects, order="ORDER BY sequence")
            return [
                Stream(
                    offer=bytes(body),
                    events=tuple((name, bytes(event)) for name, event, of in told if of == subject),
                    replies=tuple(name for name, _, of in said if of == subject),
                )
                for subject, body in found
            ]

        return await self._driver.run(work, survives_power_cut=False)

    async def of_type(self, wire_name: str, most: int) -> list[bytes]:
        """The newest events of a type."""
        query = "SELECT body FROM received WHERE type = ? AND state <> 'parked' ORDER BY received_at DESC LIMIT ?"
        rows = await self._driver.run(lambda tables: tables.fetch(query, wire_name, most), survives_power_cut=False)
        return [bytes(body) for (body,) in rows]

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

    async def set_aside(self, name: str) -> Optional[bytes]:
        """What was set aside under that name; None when nothing was."""
        query = """
            SELECT body FROM received WHERE event_id = ? AND state = 'parked'
            UNION ALL SELECT body FROM unreadable WHERE digest = ?
        """
        rows = await self._driver.run(lambda tables: tables.fetch(query, name, name), survives_power_cut=False)
        return bytes(rows[0][0]) if rows else None

    async def backlog(self) -> tuple[int, int, int]:
        """How many events wait for their handler, how many replies for the broker, how much is parked."""
        query = """
            SELECT (SELECT count(*) FROM received WHERE state = 'new'),
                (SELECT count(*) FROM reply WHERE published_at IS NULL),
                (SELECT count(*) FROM received WHERE state = 'parked') + (SELECT count(*) FROM unreadable)
        """
        [row] = await self._driver.run(lambda tables: tables.fetch(query), survives_power_cut=False)
        return row[0], row[1], row[2]


async def _write_accounts(tables: Tables, accounts: Sequence[Account], now: float) -> None:
    await tables.write(
        _HEAR,
        [(one.source, one.sequence, one.last_number, now, one.said_at, now + one.allowance) for one in accounts],
    )
    await tables.write(
        # What is withheld now may have been announced as sent before.
        "INSERT INTO account (source, number, event_id, is_withheld) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (source, number) DO UPDATE SET is_withheld = excluded.is_withheld",
        [
            (one.source, number, event_id, int(withheld))
            for one in accounts
            for number, event_id, withheld in one.events
        ],
    )


async def _settled(
    tables: Tables, source: str, last_number: int, settled: int, heard_at: float, said_at: float, quiet_until: float
) -> Standing:
    """Move on as far as nothing is missing; what lies behind is forgotten."""
    held = [number for (number,) in await tables.fetch(_HELD, source, settled)] if settled < last_number else []
    holes: list[tuple[int, int]] = []
    reached = before = settled
    for number in (*held, last_number + 1) if settled < last_number else ():
        if number > before + 1:
            holes.append((before + 1, number - 1))
        elif not holes:
            reached = number if number <= last_number else reached
        before = number
    if reached > settled:
        await tables.write("UPDATE city SET settled = ? WHERE source = ?", [(reached, source)])
        await tables.write("DELETE FROM account WHERE source = ? AND number <= ?", [(source, reached)])
    return Standing(source, last_number, reached, heard_at, said_at, quiet_until, tuple(holes[:MOST_HOLES]))


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


async def _among(tables: Tables, query: str, values: Iterable[str], order: str = "") -> list[tuple[Any, ...]]:
    """The rows in which the last column of the query is one of the values."""
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return []
    return await tables.fetch(f"{query} IN ({', '.join('?' * len(wanted))}) {order}", *wanted)


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

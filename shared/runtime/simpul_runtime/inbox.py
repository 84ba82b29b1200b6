"""What arrives is stored once and handled in the same transaction; nothing bounces in the broker.

A delivery ends in one of four ways: done; waiting for its predecessor; waiting for another attempt; parked with a
reason. In each of them it is stored before it is acknowledged. While the database is away nothing is acknowledged and
the broker keeps what it has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final, TypeAlias

import structlog
from pydantic import ValidationError
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import BigInteger, LargeBinary, Text, Uuid

from simpul_runtime.acknowledging import Acknowledgements, Receipt
from simpul_runtime.batching import Batcher
from simpul_runtime.database import is_fault_of_data, utc_now
from simpul_runtime.errors import Unprocessable
from simpul_runtime.metrics import INBOX_UNFINISHED, MESSAGES_HANDLED, MESSAGES_PARKED
from simpul_runtime.signing import Keys
from simpul_runtime.supervision import keep_running
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, message_class
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Rejection

ATTEMPTS: Final = 10
"""With waits doubling from one second to ten minutes this is about half an hour of trouble elsewhere."""
BATCH: Final = 50
"""Deliveries handled in one transaction at most."""
SWEEP: Final = 1.0
"""Seconds between looks at what waits for a retry, a predecessor or a replay."""
DUE_TOGETHER: Final = 100
"""Stored messages handled in one transaction at most."""
VERSION_PAUSE: Final = timedelta(minutes=1)
"""How long a stored message waits that only a newer version of the service knows."""
PATIENCE: Final = 60.0
"""Seconds a message may wait for its predecessor before the operator is told."""

Handler: TypeAlias = Callable[[Transaction, Sequence[Any]], Awaitable[None]]
"""Takes the events of one type that arrived together."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the broker handed over."""

    body: bytes
    signature: str
    """What travelled beside the body; empty when nothing did."""
    exchange: str
    routing_key: str
    receipt: Receipt | None = field(default=None, repr=False, compare=False)
    """What it is acknowledged by once it is stored; none for what came from a table."""

    @property
    def digest(self) -> bytes:
        """The same for the same bytes."""
        return sha256(self.body).digest()

    @property
    def parked_digest(self) -> bytes:
        """The same for the same bytes and signature: who repeats a body with a bad signature replaces no good one."""
        return sha256(self.digest + self.signature.encode()).digest()


@dataclass(frozen=True, slots=True)
class _Refused:
    delivery: Delivery
    reason: ParkReason
    detail: str


@dataclass(frozen=True, slots=True)
class _Accepted:
    delivery: Delivery
    event: Event

    @property
    def key(self) -> tuple[str, Any]:
        return self.event.source, self.event.id

    @property
    def stream(self) -> tuple[str, str]:
        return self.event.subject, self.event.source


_STORE = text("""
    INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state)
    SELECT s, e, t, j, q, d, 'done' FROM unnest(:sources, :ids, :types, :subjects, :sequences, :digests)
        AS arrived (s, e, t, j, q, d)
    ON CONFLICT DO NOTHING RETURNING source, event_id
""").bindparams(
    bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("types", type_=ARRAY(Text)), bindparam("subjects", type_=ARRAY(Text)),
    bindparam("sequences", type_=ARRAY(BigInteger)), bindparam("digests", type_=ARRAY(LargeBinary)),
)  # fmt: skip
_DIGESTS = text("""
    SELECT i.source, i.event_id, i.digest FROM inbox i
    JOIN unnest(:sources, :ids) AS k (s, e) ON i.source = k.s AND i.event_id = k.e
""").bindparams(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Uuid)))
_PREDECESSORS = text("""
    SELECT i.subject, i.source, i.sequence FROM inbox i
    JOIN unnest(:subjects, :sources, :sequences) AS k (j, s, q)
        ON i.subject = k.j AND i.source = k.s AND i.sequence = k.q - 1
    WHERE i.state = 'done'
""").bindparams(
    bindparam("subjects", type_=ARRAY(Text)), bindparam("sources", type_=ARRAY(Text)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
)  # fmt: skip
_KEEP = text("""
    UPDATE inbox SET state = :state, reason = :reason, body = :body, signature = :signature,
        attempts = CAST(:attempts AS int),
        due_at = now() + least(interval '1 second' * 2 ^ CAST(:attempts AS int), interval '10 minutes')
    WHERE source = :source AND event_id = :event_id
""")
_DONE = text(
    "UPDATE inbox SET state = 'done', body = NULL, signature = NULL, reason = NULL, due_at = NULL"
    " WHERE source = :source AND event_id = :event_id"
)
_FORGET = text("DELETE FROM inbox WHERE source = :source AND event_id = :event_id")
_PARK = text("""
    INSERT INTO parked (digest, reason, detail, exchange, routing_key, body, signature)
    VALUES (:digest, :reason, :detail, :exchange, :routing_key, :body, :signature)
    ON CONFLICT (digest) DO UPDATE SET times = parked.times + 1, last_at = now(), reason = excluded.reason,
        detail = excluded.detail, replay_at = NULL
""")
_IS_DUE: Final = """
    w.state <> 'done' AND w.due_at IS NOT NULL AND (
        (w.state = 'retrying' AND w.due_at <= now()) OR
        (w.state = 'waiting' AND EXISTS (
            SELECT FROM inbox p WHERE p.subject = w.subject AND p.source = w.source
                AND p.sequence = w.sequence - 1 AND p.state = 'done')))
"""
_DUE = text(f"""
    SELECT w.source, w.event_id, w.type, w.body, coalesce(w.signature, '') AS signature, w.state, w.attempts
    FROM inbox w WHERE {_IS_DUE}
    ORDER BY w.sequence LIMIT :limit FOR UPDATE OF w SKIP LOCKED
""")  # noqa: S608 - the condition is a constant of this file
_REPLAY = text("""
    DELETE FROM parked WHERE digest IN (
        SELECT digest FROM parked WHERE replay_at IS NOT NULL ORDER BY replay_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING body, signature, exchange, routing_key
""")
_PUT_OFF = text(f"""
    UPDATE inbox SET state = 'retrying', reason = 'unstorable', due_at = now() + interval '10 minutes'
    WHERE (source, event_id) IN (
        SELECT w.source, w.event_id FROM inbox w WHERE {_IS_DUE}
        ORDER BY w.sequence LIMIT 1 FOR UPDATE OF w SKIP LOCKED)
""")  # noqa: S608 - the condition is a constant of this file
_LEAVE_PARKED = text("""
    UPDATE parked SET replay_at = NULL WHERE digest IN (
        SELECT digest FROM parked WHERE replay_at IS NOT NULL ORDER BY replay_at LIMIT 1 FOR UPDATE SKIP LOCKED)
""")
_WAIT_FOR_VERSION = text("""
    UPDATE inbox SET state = 'retrying', reason = 'unknown_type', due_at = now() + :pause
    WHERE source = :source AND event_id = :event_id
""")
_UNFINISHED = text("""
    SELECT state, count(*), coalesce(extract(epoch FROM now() - min(received_at)), 0)
    FROM inbox WHERE state <> 'done' GROUP BY state
""")


class Inbox:
    """One per process; any number of processes may share a queue and a table."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        keys: Keys,
        handlers: Mapping[type[Event], Handler],
        has_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._transactions = transactions
        self._keys = keys
        self._handlers = {message.WIRE_NAME: handler for message, handler in handlers.items()}
        self._batcher: Batcher[Delivery, None] = Batcher("inbox", self._store_and_acknowledge, limit=BATCH)
        self._has_room = has_room
        self._acknowledgements = Acknowledgements()
        self._look = asyncio.Event()

    def deliver(self, delivery: Delivery) -> None:
        """Take a delivery; it is acknowledged once it is stored."""
        self._batcher.post(delivery).add_done_callback(_note_outcome)

    @property
    def stuck_seconds(self) -> float:
        """How long deliveries have been waiting without any batch being stored; 0 when none waits."""
        return self._batcher.stuck_seconds

    async def run(self) -> None:
        """Handle deliveries and what waits, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("inbox", self._batcher.run))
            tasks.create_task(keep_running("inbox_sweep", self._keep_sweeping))

    async def _store_and_acknowledge(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        await self._has_room()
        stored = await self.receive(deliveries)
        outcomes = list(zip(deliveries, stored, strict=True))
        await self._acknowledgements.acknowledge(d.receipt for d, error in outcomes if d.receipt and error is None)
        for delivery, error in outcomes:
            if delivery.receipt and error is not None:
                await self._acknowledgements.reject(delivery.receipt)
        return stored

    async def receive(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        """One transaction for all that arrived together; returns for each what kept it from being stored or parked.

        Almost always every handler succeeds, so the first try does without savepoints; when one fails, nothing of
        that try remains and the same deliveries are taken again, each group in a savepoint of its own. When even
        that fails because of what is stored, each is taken in a transaction of its own, and the one at fault is
        parked. Any other error is raised: the database is away, and the same deliveries can be stored later.
        """
        now = utc_now()
        read = [self._read(delivery, now) for delivery in deliveries]
        try:
            async with self._transactions.begin() as transaction:
                await self._receive_in(transaction, read, self._handle)
        except Exception as error:
            log.info("batch_taken_apart", count=len(read), exc_info=error)
            return await self._receive_guarded(read)
        return [None] * len(read)

    async def _receive_guarded(self, read: "Sequence[_Accepted | _Refused]") -> list[Exception | None]:
        try:
            async with self._transactions.begin() as transaction:
                await self._receive_in(transaction, read, self._handle_guarded)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            if len(read) > 1:
                return [outcome for entry in read for outcome in await self._receive_guarded([entry])]
            return [await self._park_unstorable(read[0].delivery, error)]
        return [None] * len(read)

    async def _park_unstorable(self, delivery: Delivery, error: Exception) -> Exception | None:
        """Set a delivery aside that cannot be stored; returns the error when not even that can be done."""
        log.warning("message_not_storable", exc_info=error)
        try:
            async with self._transactions.begin() as transaction:
                refused = _Refused(delivery, ParkReason.UNSTORABLE, _names_of(error))
                await self._park(transaction.connection, refused)
        except Exception as parking_failed:
            if not is_fault_of_data(parking_failed):
                raise
            log.error("message_not_parked", exc_info=parking_failed)
            return parking_failed
        return None

    async def _receive_in(
        self,
        transaction: Transaction,
        read: Sequence[_Accepted | _Refused],
        handle: Callable[[Transaction, Sequence[_Accepted]], Awaitable[Sequence[_Accepted]]],
    ) -> None:
        connection = transaction.connection
        accepted = {entry.key: entry for entry in read if isinstance(entry, _Accepted)}
        refused = [entry for entry in read if isinstance(entry, _Refused)]
        fresh, reused = await self._store(connection, accepted)
        for problem in (*refused, *reused):
            await self._park(connection, problem)
        ready, early = await self._in_order(connection, fresh)
        for entry in early:
            await self._keep(connection, entry, state="waiting", reason="predecessor", attempts=0)
        held: set[tuple[str, str]] = set()
        for group in ready:
            for entry in (entry for entry in group if entry.stream in held):
                # Its predecessor arrived in this very batch and could not be handled.
                await self._keep(connection, entry, state="waiting", reason="predecessor", attempts=0)
            free = [entry for entry in group if entry.stream not in held]
            held |= {entry.stream for entry in await handle(transaction, free)} if free else set()

    def _read(self, delivery: Delivery, now: datetime) -> _Accepted | _Refused:
        try:
            outcome = self._keys.verify(delivery.body, delivery.signature, now)
        except Exception as error:
            # Whatever else reading it raises is the fault of this one delivery.
            log.warning("message_not_readable", exc_info=error)
            return _Refused(delivery, ParkReason.MALFORMED, _names_of(error))
        if isinstance(outcome, Rejection):
            return _Refused(delivery, outcome.reason, outcome.detail)
        return _Accepted(delivery, outcome.event)

    async def _store(
        self, connection: AsyncConnection, accepted: Mapping[tuple[str, Any], _Accepted]
    ) -> tuple[list[_Accepted], list[_Refused]]:
        if not accepted:
            return [], []
        entries = sorted(accepted.values(), key=lambda entry: (entry.event.source, str(entry.event.id)))
        stored = await connection.execute(
            _STORE,
            {
                "sources": [entry.event.source for entry in entries],
                "ids": [entry.event.id for entry in entries],
                "types": [entry.event.type for entry in entries],
                "subjects": [entry.event.subject for entry in entries],
                "sequences": [entry.event.position for entry in entries],
                "digests": [entry.delivery.digest for entry in entries],
            },
        )
        new = {(source, event_id) for source, event_id in stored}
        known = [entry for entry in entries if entry.key not in new]
        return [entry for entry in accepted.values() if entry.key in new], await self._reused(connection, known)

    async def _reused(self, connection: AsyncConnection, known: Sequence[_Accepted]) -> list[_Refused]:
        """A repeated delivery is nothing; the same id with other content is an alarm."""
        if not known:
            return []
        MESSAGES_HANDLED.labels("any", "repeated").inc(len(known))
        found = await connection.execute(
            _DIGESTS, {"sources": [e.event.source for e in known], "ids": [e.event.id for e in known]}
        )
        digests = {(source, event_id): digest for source, event_id, digest in found}
        return [
            _Refused(entry.delivery, ParkReason.ID_REUSED, "same id, other content")
            for entry in known
            if digests.get(entry.key) != entry.delivery.digest
        ]

    async def _in_order(
        self, connection: AsyncConnection, fresh: Sequence[_Accepted]
    ) -> tuple[list[list[_Accepted]], list[_Accepted]]:
        """Groups to handle one after the other, each of one type and with at most one event of a stream."""
        done: set[tuple[tuple[str, str], int]] = set()
        later = [entry for entry in fresh if entry.event.position > 1]
        if later:
            found = await connection.execute(
                _PREDECESSORS,
                {
                    "subjects": [entry.event.subject for entry in later],
                    "sources": [entry.event.source for entry in later],
                    "sequences": [entry.event.position for entry in later],
                },
            )
            together = {(entry.stream, entry.event.position) for entry in fresh}
            # A row of this very batch is stored as done already; whether it is comes out below.
            done = {((subject, source), sequence) for subject, source, sequence in found} - together
        groups: list[list[_Accepted]] = []
        pending = sorted(fresh, key=lambda entry: entry.event.position)
        while pending:
            round_, rest, streams = [], [], set()
            for entry in pending:
                predecessor = (entry.stream, entry.event.position - 1)
                if entry.stream not in streams and (entry.event.position == 1 or predecessor in done):
                    round_.append(entry)
                    streams.add(entry.stream)
                else:
                    rest.append(entry)
            if not round_:
                return groups, rest
            done |= {(entry.stream, entry.event.position) for entry in round_}
            groups += _by_type(round_)
            pending = rest
        return groups, []

    async def _handle(self, transaction: Transaction, group: Sequence[_Accepted]) -> Sequence[_Accepted]:
        wire_name = group[0].event.type
        handler = self._handlers.get(wire_name)
        if handler is not None:
            await handler(transaction, [entry.event for entry in group])
            # The next group may be the next of the same stream, which must see what this one wrote.
            await transaction.flush()
        outcome = MESSAGES_HANDLED.labels(wire_name, "ignored" if handler is None else "done")
        transaction.after_commit.append(partial(outcome.inc, len(group)))
        return ()

    async def _handle_guarded(self, transaction: Transaction, group: Sequence[_Accepted]) -> Sequence[_Accepted]:
        """The group in one savepoint; when that fails each event in its own. Returns what stays behind."""
        try:
            async with transaction.savepoint():
                await self._handle(transaction, group)
        except Exception as error:
            if len(group) > 1:
                return [left for entry in group for left in await self._handle_guarded(transaction, [entry])]
            await self._not_handled(transaction.connection, group[0], error, attempts=0)
            return group
        return ()

    async def _not_handled(
        self, connection: AsyncConnection, entry: _Accepted, error: Exception, *, attempts: int
    ) -> None:
        event = entry.event
        if isinstance(error, Unprocessable):
            refused = _Refused(entry.delivery, error.reason, error.detail)
        elif attempts + 1 >= ATTEMPTS:
            refused = _Refused(entry.delivery, ParkReason.ATTEMPTS_EXHAUSTED, type(error).__name__)
        else:
            log.warning("message_failed", type=event.type, event_id=event.id, attempts=attempts + 1, exc_info=error)
            MESSAGES_HANDLED.labels(event.type, "retrying").inc()
            await self._keep(connection, entry, state="retrying", reason=type(error).__name__, attempts=attempts + 1)
            return
        await connection.execute(_FORGET, {"source": event.source, "event_id": event.id})
        await self._park(connection, refused)

    async def _keep(
        self, connection: AsyncConnection, entry: _Accepted, *, state: str, reason: str, attempts: int
    ) -> None:
        await connection.execute(
            _KEEP,
            {
                "state": state, "reason": reason, "body": entry.delivery.body,
                "signature": entry.delivery.signature, "attempts": attempts, "source": entry.event.source,
                "event_id": entry.event.id,
            },
        )  # fmt: skip
        self._look.set()

    async def _park(self, connection: AsyncConnection, entry: _Refused) -> None:
        MESSAGES_PARKED.labels(entry.reason).inc()
        log.error("message_parked", reason=entry.reason, exchange=entry.delivery.exchange)
        await connection.execute(
            _PARK,
            {
                "digest": entry.delivery.parked_digest,
                "reason": entry.reason.value,
                "detail": _storable(entry.detail),
                "exchange": _storable(entry.delivery.exchange),
                "routing_key": _storable(entry.delivery.routing_key),
                "body": entry.delivery.body,
                "signature": entry.delivery.signature,
            },
        )

    async def _keep_sweeping(self) -> None:
        while True:
            # Before the look: what is kept during a sweep must still end the wait.
            self._look.clear()
            try:
                while await self.sweep():
                    pass
                await self._measure()
            except Exception as error:
                log.warning("sweep_failed", exc_info=error)
            try:
                async with asyncio.timeout(SWEEP):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def sweep(self) -> int:
        """Handle what is due: retries, messages whose predecessor is done, replays. Returns how many there were."""
        due = await self._sweep_apart(self._handle_due, _PUT_OFF)
        return due + await self._sweep_apart(self._handle_replays, _LEAVE_PARKED)

    async def _sweep_apart(self, handle: Callable[[int], Awaitable[int]], put_off: TextClause) -> int:
        """All together; one by one when one of them keeps the others from being stored."""
        try:
            return await handle(DUE_TOGETHER)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.info("sweep_taken_apart", exc_info=error)
        handled = 0
        while one := await self._sweep_one(handle, put_off):
            handled += one
        return handled

    async def _sweep_one(self, handle: Callable[[int], Awaitable[int]], put_off: TextClause) -> int:
        try:
            return await handle(1)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.error("message_put_off", exc_info=error)
        async with self._transactions.begin() as transaction:
            return (await transaction.connection.execute(put_off)).rowcount

    async def _handle_due(self, limit: int) -> int:
        async with self._transactions.begin() as transaction:
            due = (await transaction.connection.execute(_DUE, {"limit": limit})).all()
            for row in due:
                await self._handle_again(transaction, row)
        return len(due)

    async def _handle_replays(self, limit: int) -> int:
        async with self._transactions.begin() as transaction:
            replays = (await transaction.connection.execute(_REPLAY, {"limit": limit})).all()
            if replays:
                now = utc_now()
                read = [self._read(Delivery(*replay), now) for replay in replays]
                await self._receive_in(transaction, read, self._handle_guarded)
        return len(replays)

    async def _handle_again(self, transaction: Transaction, row: Any) -> None:
        message = message_class(row.type)
        if message is None:
            # It was stored by a newer version, which will handle it when it is started again.
            log.error("stored_type_unknown", type=row.type, event_id=row.event_id)
            await transaction.connection.execute(
                _WAIT_FOR_VERSION, {"source": row.source, "event_id": row.event_id, "pause": VERSION_PAUSE}
            )
            return
        stored = Delivery(row.body, row.signature, "", row.type)
        try:
            entry = _Accepted(stored, message.model_validate_json(row.body))
        except ValidationError:
            # What was valid when it was stored is no more: set aside, so that somebody looks.
            await transaction.connection.execute(_FORGET, {"source": row.source, "event_id": row.event_id})
            await self._park(transaction.connection, _Refused(stored, ParkReason.INVALID, "as stored"))
            return
        handler = self._handlers.get(row.type)
        try:
            async with transaction.savepoint():
                if handler is not None:
                    await handler(transaction, [entry.event])
        except Exception as error:
            await self._not_handled(transaction.connection, entry, error, attempts=row.attempts)
        else:
            MESSAGES_HANDLED.labels(row.type, "done").inc()
            await transaction.connection.execute(_DONE, {"source": row.source, "event_id": row.event_id})

    async def _measure(self) -> None:
        async with self._engine.connect() as connection:
            found = {state: (count, age) for state, count, age in await connection.execute(_UNFINISHED)}
        for state in ("waiting", "retrying"):
            count, age = found.get(state, (0, 0))
            INBOX_UNFINISHED.labels(state).set(count)
            if state == "waiting" and age > PATIENCE:
                log.warning("message_waits_for_predecessor", count=count, seconds=int(age))


def _note_outcome(outcome: "asyncio.Future[None]") -> None:
    """Whoever delivers does not wait; what could not be stored was logged and rejected."""
    if not outcome.cancelled():
        outcome.exception()


def _names_of(error: BaseException) -> str:
    """The types of an error and of its causes; the text of one could repeat what was sent."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < 5:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    return " < ".join(names)


def _storable(words: str) -> str:
    """PostgreSQL's text holds no NUL and no half of a surrogate pair; what a sender wrote may."""
    return words.replace("\0", "").encode(errors="replace").decode()[:1000]


def _by_type(entries: Iterable[_Accepted]) -> list[list[_Accepted]]:
    groups: dict[str, list[_Accepted]] = {}
    for entry in entries:
        groups.setdefault(entry.event.type, []).append(entry)
    return list(groups.values())

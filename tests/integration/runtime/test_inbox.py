"""The inbox on a real database: order, retries, duplicates, parking, replay."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event as database_event
from sqlalchemy.exc import IntegrityError, ProgrammingError

from simpul_cli.databases import create_databases
from simpul_cli.parked import list_parked, replay_parked
from simpul_dev.backends import Backends
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.errors import Unprocessable
from simpul_runtime.inbox import Delivery, Handler, Inbox
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event
from simpul_schema.envelope import read_json
from simpul_schema.messages import AlertSentV1
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, generate, sign, verification
from tests.support.databases import create_migrated
from tests.support.signing import signed

RING, PUBLIC = generate("notify", not_before=utc_now() - timedelta(days=1), not_after=utc_now() + timedelta(days=1))


@dataclass
class Room:
    """An inbox on a database of its own, with a handler that records the events."""

    inbox: Inbox
    url: str
    handled: list[tuple[UUID, int]] = field(default_factory=list)
    failing: dict[int, Exception] = field(default_factory=dict)

    async def handle(self, _: Transaction, events: Sequence[AlertSentV1]) -> None:
        for event in events:
            if event.position in self.failing:
                raise self.failing[event.position]
        self.handled += [(event.subject_id, event.position) for event in events]

    async def states(self) -> dict[int, str]:
        connection = await asyncpg.connect(self.url)
        try:
            return {
                row["sequence"]: row["state"] for row in await connection.fetch("SELECT sequence, state FROM inbox")
            }
        finally:
            await connection.close()

    async def states_of(self, wire_name: str) -> list[str]:
        connection = await asyncpg.connect(self.url)
        try:
            found = await connection.fetch("SELECT state FROM inbox WHERE type = $1", wire_name)
            return [row["state"] for row in found]
        finally:
            await connection.close()

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def reasons(self) -> list[object]:
        return [row["reason"] for row in await list_parked(self.url)]


def event(subject: UUID, position: int, /, **changes: Any) -> Delivery:
    unsigned = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/kediri/notify",
        "type": "alert.sent.v1",
        "subject": f"referral/{subject}",
        "time": "2026-11-24T00:00:00Z",
        "datacontenttype": "application/json",
        "sequence": f"{position:010d}",
        "correlationid": str(uuid4()),
        "data": {"alert_id": str(uuid4()), "referral_id": str(subject), "channel": "sms", "attempts": 1, "sealed": {}},
    }
    return Delivery(*signed(unsigned | changes, RING), "simpul.events", "alert.sent.v1")


def signed_by_notify(body: bytes) -> Delivery:
    """Returns these bytes signed by notify."""
    return Delivery(body, sign(body, RING), "simpul.events", "alert.sent.v1")


def nested(delivery: Delivery, depth: int) -> bytes:
    """Returns the event with a value nested deep in arrays; its signature no longer fits."""
    return delivery.body.replace(b'"data":{', b'"deep":' + b"[" * depth + b"]" * depth + b',"data":{', 1)


@pytest.fixture
async def room(backends: Backends) -> AsyncIterator[Room]:
    url = await create_migrated(backends, "desk", f"inbox_{uuid4().hex[:8]}")
    engine = create_engine(url, connections=3)
    keys = Keys(RING, Directory([PUBLIC]))
    transactions = Transactions(engine, Outbox("kediri", "desk", keys), lambda _: None)

    async def handle(transaction: Transaction, events: Sequence[AlertSentV1]) -> None:
        await found.handle(transaction, events)

    async def wait_for_nothing() -> None:
        """There is always capacity."""

    found = Room(Inbox(engine, transactions, keys, {AlertSentV1: handle}, wait_for_nothing), url)
    yield found
    await engine.dispose()


async def test_a_batch_of_any_size_takes_one_statement_and_one_more_for_predecessors(room: Room) -> None:
    statements: list[str] = []

    def record(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    subjects = [uuid4() for _ in range(50)]
    database_event.listen(room.inbox._engine.sync_engine, "before_cursor_execute", record)

    await room.inbox.receive([event(subject, 1) for subject in subjects])
    await room.inbox.receive([event(subject, 2) for subject in subjects])

    assert statements == ["INSERT", "INSERT", "SELECT"]
    assert len(room.handled) == 100


async def test_an_event_delivered_again_is_handled_once(room: Room) -> None:
    subject = uuid4()
    delivery = event(subject, 1)

    await room.inbox.receive([delivery, delivery])
    await room.inbox.receive([delivery])

    assert room.handled == [(subject, 1)]


async def test_events_that_arrive_together_in_the_wrong_order_are_handled_in_the_right_one(room: Room) -> None:
    subject = uuid4()

    await room.inbox.receive([event(subject, position) for position in (3, 1, 2)])

    assert room.handled == [(subject, 1), (subject, 2), (subject, 3)]


async def test_an_event_waits_for_its_predecessor(room: Room) -> None:
    subject = uuid4()
    await room.inbox.receive([event(subject, 2), event(subject, 3)])
    assert room.handled == []

    await room.inbox.receive([event(subject, 1)])
    while await room.inbox.sweep():
        pass

    assert room.handled == [(subject, 1), (subject, 2), (subject, 3)]


async def test_an_inbox_without_order_handles_a_part_of_a_stream(room: Room) -> None:
    subject = uuid4()
    transactions, keys = room.inbox._receiver._transactions, room.inbox._receiver._keys

    async def wait_for_nothing() -> None:
        """There is always capacity."""

    handlers: Mapping[type[Event], Handler] = {AlertSentV1: room.handle}
    unordered = Inbox(room.inbox._engine, transactions, keys, handlers, wait_for_nothing, in_order=False)
    room.failing[5] = OSError()

    await unordered.receive([event(subject, 9), event(subject, 5), event(subject, 7)])
    room.failing.clear()
    await room.execute("UPDATE inbox SET due_at = now()")
    await unordered.sweep()

    assert room.handled == [(subject, 7), (subject, 9), (subject, 5)]
    assert set((await room.states()).values()) == {"done"}


async def test_a_failing_event_is_retried_alone(room: Room) -> None:
    good, bad = uuid4(), uuid4()
    room.failing[7] = OSError()
    await room.inbox.receive([event(good, 1), event(bad, 1)])
    await room.inbox.receive([event(bad, position) for position in range(2, 8)] + [event(good, 2)])
    assert (await room.states())[7] == "retrying"
    assert (good, 2) in room.handled

    room.failing.clear()
    await asyncio.sleep(2.1)
    await room.inbox.sweep()

    assert room.handled[-1] == (bad, 7)


async def test_an_event_waits_for_its_failed_predecessor_of_the_same_batch(room: Room) -> None:
    subject = uuid4()
    room.failing[1] = OSError()
    await room.inbox.receive([event(subject, 1), event(subject, 2)])
    states = await room.states()
    assert (states[1], states[2]) == ("retrying", "waiting_for_predecessor")
    assert room.handled == []

    room.failing.clear()
    await asyncio.sleep(2.1)
    while await room.inbox.sweep():
        pass

    assert room.handled == [(subject, 1), (subject, 2)]


async def test_an_event_that_can_never_work_is_parked_at_once_and_can_be_replayed(room: Room) -> None:
    subject = uuid4()
    room.failing[1] = Unprocessable(ParkReason.CANNOT_OPEN)
    await room.inbox.receive([event(subject, 1)])
    assert await room.reasons() == ["cannot_open"]

    room.failing.clear()
    replayed = await asyncio.gather(*(replay_parked(room.url, "all") for _ in range(2)))
    await room.inbox.sweep()
    await room.inbox.sweep()

    assert max(replayed) == 1
    assert room.handled == [(subject, 1)]
    assert await room.reasons() == []


async def test_an_id_reused_for_other_content_is_parked(room: Room) -> None:
    subject, same = uuid4(), str(uuid4())
    await room.inbox.receive([event(subject, 1, id=same)])

    await room.inbox.receive([event(subject, 1, id=same, time="2026-11-24T01:00:00Z")])

    assert room.handled == [(subject, 1)]
    assert await room.reasons() == ["id_reused"]


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (signed_by_notify(b"\x00\xff"), "malformed"),
        (signed_by_notify(b"[]"), "malformed"),
        (signed_by_notify(b"[" * 5000), "malformed"),
        (signed_by_notify(b'{"type": 1}'), "malformed"),
        (signed_by_notify(b"x" * 300_000), "too_large"),
        (signed_by_notify(b'{"type": "alert.sent.v9"}'), "malformed"),
        (event(uuid4(), 1, type="alert.sent.v9"), "unknown_type"),
        (replace(event(uuid4(), 1), signature=""), "unsigned"),
        (replace(event(uuid4(), 1), signature=event(uuid4(), 1).signature), "forged"),
        (replace(event(uuid4(), 1), signature="v1 nobody " + "A" * 86), "unknown_key"),
        (replace(event(uuid4(), 1), signature=f"v2 {RING.keyid} " + "A" * 86), "forged"),
        (replace(event(uuid4(), 1), signature=f"v1 {RING.keyid} short"), "forged"),
        (event(uuid4(), 1, source="/kediri/routing"), "forged"),
        (event(uuid4(), 1, type="case.reported.v1"), "unauthorized_publisher"),
        (event(uuid4(), 1, sequence="1"), "invalid"),
        (event(uuid4(), 0), "invalid"),
        (event(uuid4(), 1, sequence="\u0660" * 9 + "\u0661"), "invalid"),
        (event(uuid4(), 1, source=f"/{'k' * 20_000}/notify"), "invalid"),
        (event(uuid4(), 1, subject=f"case/{'a' * 20_000}"), "invalid"),
        (event(uuid4(), 1, time="0001-01-01T00:00:00+14:00"), "invalid"),
        (event(uuid4(), 1, time="9999-12-31T23:59:59-12:00"), "invalid"),
        (signed_by_notify(nested(event(uuid4(), 1), 980)), "malformed"),
        (signed_by_notify(nested(event(uuid4(), 1), 200)), "malformed"),
        (replace(event(uuid4(), 1), body=nested(event(uuid4(), 1), 90_000)), "forged"),
        (signed_by_notify(b'{"type": "alert.sent.v1", "source": "\\ud800"}'), "malformed"),
        (signed_by_notify(b'{"type": "alert.sent.v1", "id": ' + b"9" * 5_000 + b"}"), "malformed"),
        (signed_by_notify('{"type": "alert.sent.v1"}'.encode("utf-16")), "malformed"),
    ],
)
async def test_a_message_that_cannot_be_trusted_or_read_is_parked(room: Room, delivery: Delivery, reason: str) -> None:
    subject = uuid4()

    await room.inbox.receive([replace(delivery, routing_key="with\x00nul"), event(subject, 1)])

    assert await room.reasons() == [reason]
    assert room.handled == [(subject, 1)]


async def test_no_body_is_parsed_before_its_signature_is_verified(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def read(body: bytes) -> object:
        parsed.append(body)
        return read_json(body)

    monkeypatch.setattr(verification, "read_json", read)
    good, other = event(uuid4(), 1), event(uuid4(), 1)
    deep = b"[" * 100_000 + b"]" * 100_000

    await room.inbox.receive([replace(other, body=deep), replace(other, signature=""), good])

    assert parsed == [good.body]
    assert sorted(map(str, await room.reasons())) == ["forged", "unsigned"]


async def test_a_parked_message_is_replayed_with_its_own_signature(room: Room) -> None:
    subject = uuid4()
    delivery = event(subject, 1)
    room.failing[1] = OSError()
    await room.inbox.receive([delivery])
    # The last attempt is made with the stored message.
    await room.execute("UPDATE inbox SET attempts = 9, due_at = now()")
    await room.inbox.sweep()
    assert await room.reasons() == ["attempts_exhausted"]
    # Copies of the body with another signature do not replace the parked message.
    await room.inbox.receive([replace(delivery, signature=""), replace(delivery, signature="v1 x y")])
    assert sorted(map(str, await room.reasons())) == ["attempts_exhausted", "forged", "unsigned"]

    room.failing.clear()
    await replay_parked(room.url, "all")
    await room.inbox.sweep()

    assert room.handled == [(subject, 1)]
    assert sorted(map(str, await room.reasons())) == ["forged", "unsigned"]


async def test_a_message_that_the_database_refuses_is_parked_alone(room: Room) -> None:
    subject, other = uuid4(), uuid4()
    await room.execute("ALTER TABLE inbox ADD CHECK (sequence <> 2)")
    batch = [event(subject, 1), event(subject, 2), event(other, 1)]

    outcomes = await room.inbox.receive(batch)

    assert outcomes == [None, None, None]
    assert await room.reasons() == ["unstorable"]
    assert sorted(room.handled) == sorted([(subject, 1), (other, 1)])


async def test_a_message_that_can_be_neither_stored_nor_parked_is_reported_and_delays_no_others(room: Room) -> None:
    subject = uuid4()
    await room.execute("ALTER TABLE inbox ADD CHECK (sequence <> 2)")
    await room.execute("ALTER TABLE parked ADD CHECK (reason <> 'unstorable')")

    first, second = await room.inbox.receive([event(subject, 1), event(subject, 2)])

    assert first is None
    assert isinstance(second, IntegrityError)
    assert room.handled == [(subject, 1)]


async def test_while_the_database_is_unavailable_nothing_is_parked(room: Room) -> None:
    subject = uuid4()
    await room.execute("ALTER TABLE inbox RENAME TO away")

    with pytest.raises(ProgrammingError):
        await room.inbox.receive([event(subject, 1)])

    await room.execute("ALTER TABLE away RENAME TO inbox")
    assert await room.reasons() == []


@pytest.mark.parametrize("routing_key", ["with\x00nul", "half \ud800 pair", "x" * 5_000])
async def test_a_message_with_any_routing_key_can_be_parked(room: Room, routing_key: str) -> None:
    await room.inbox.receive([Delivery(b"no event", "", "simpul.events", routing_key)])

    assert await room.reasons() == ["unsigned"]


async def test_a_stored_message_of_a_newer_version_waits_and_delays_no_others(room: Room) -> None:
    newer, retried = uuid4(), uuid4()
    room.failing[1] = OSError()
    await room.inbox.receive([event(newer, 1), event(retried, 1)])
    room.failing.clear()
    await room.execute(f"UPDATE inbox SET type = 'alert.sent.v9' WHERE subject = 'referral/{newer}'")
    await room.execute("UPDATE inbox SET due_at = now()")

    await room.inbox.sweep()

    assert room.handled == [(retried, 1)]
    assert (await room.states_of("alert.sent.v9")) == ["retrying"]


async def test_a_stored_message_whose_outcome_cannot_be_stored_delays_no_others(room: Room) -> None:
    room.failing |= {1: OSError(), 2: OSError()}
    first, second = uuid4(), uuid4()
    await room.inbox.receive([event(first, 1), event(second, 1)])
    await room.execute(
        f"ALTER TABLE inbox ADD CHECK (subject <> 'referral/{first}' OR state <> 'done') NOT VALID;"
        "UPDATE inbox SET due_at = now()"
    )
    room.failing.clear()

    while await room.inbox.sweep():
        pass

    assert (second, 1) in room.handled
    connection = await asyncpg.connect(room.url)
    left = await connection.fetch("SELECT reason FROM inbox WHERE state <> 'done'")
    await connection.close()
    assert [row["reason"] for row in left] == ["unstorable"]


async def test_a_replay_that_cannot_be_stored_stays_parked_and_the_others_are_replayed(room: Room) -> None:
    subject, other = uuid4(), uuid4()
    room.failing[1] = Unprocessable(ParkReason.CANNOT_OPEN)
    await room.inbox.receive([event(subject, 1), event(other, 1)])
    await room.execute(f"ALTER TABLE inbox ADD CHECK (subject <> 'referral/{subject}')")
    room.failing.clear()
    assert await replay_parked(room.url, "all") == 2

    while await room.inbox.sweep():
        pass

    assert room.handled == [(other, 1)]
    assert await room.reasons() == ["cannot_open"]


@pytest.mark.parametrize("service", ["intake", "routing", "notify", "desk"])
async def test_states_of_messages_stored_by_the_version_before_are_renamed(backends: Backends, service: str) -> None:
    name = f"states_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {service: name})
    url = backends.database_url(name)
    await migrate_async(url, f"simpul_{service}", "20261126_signatures")
    connection = await asyncpg.connect(url)
    # As the version before 20261126_inbox_states left every outbox; only routing's keeps the column.
    await connection.execute("ALTER TABLE outbox ADD COLUMN IF NOT EXISTS number bigint")
    for sequence, state in enumerate(("done", "waiting", "retrying"), 1):
        await connection.execute(
            "INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state)"
            " VALUES ('/kediri/notify', $1, 'alert.sent.v1', 'referral/1', $2, '', $3)",
            uuid4(),
            sequence,
            state,
        )

    await migrate_async(url, f"simpul_{service}")

    states = [row["state"] for row in await connection.fetch("SELECT state FROM inbox ORDER BY sequence")]
    columns = await connection.fetch(
        "SELECT 1 FROM information_schema.columns WHERE table_name = 'outbox' AND column_name = 'number'"
    )
    await connection.close()
    assert states == ["done", "waiting_for_predecessor", "retrying"]
    assert bool(columns) == (service == "routing")


async def test_what_a_sender_wrote_is_kept_encrypted_and_its_routing_key_is_masked(room: Room) -> None:
    room.failing[1] = OSError()
    noted = event(uuid4(), 1, note="Wenthilora")
    await room.inbox.receive([Delivery(b"Wenthilora", "v1 Wenthilora", "simpul.replies", "reply.ylpa.wenthilora.v1")])
    await room.inbox.receive([noted])

    connection = await asyncpg.connect(room.url)
    stored = await connection.fetch("SELECT parked::text AS row FROM parked UNION ALL SELECT inbox::text FROM inbox")
    await connection.close()
    text = "\n".join(row["row"] for row in stored).lower()
    assert [row["routing_key"] for row in await list_parked(room.url)] == ["reply.ylpa.?.v1"]
    assert "wenthilora" not in text
    assert b"wenthilora".hex() not in text


async def test_a_message_that_an_older_version_parked_in_clear_is_replayed(room: Room) -> None:
    old = event(uuid4(), 1)
    connection = await asyncpg.connect(room.url)
    await connection.execute(
        "INSERT INTO parked (digest, reason, exchange, routing_key, body, signature) VALUES ($1, 'x', $2, $3, $4, $5)",
        old.parked_digest,
        old.exchange,
        old.routing_key,
        old.body,
        old.signature,
    )
    await connection.close()
    await replay_parked(room.url, "all")

    await room.inbox.sweep()

    assert [position for _, position in room.handled] == [1]

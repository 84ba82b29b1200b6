"""The inbox on a real database: order, retries, duplicates, parking, replay."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from simpul_cli.databases import create_databases
from simpul_cli.parked import list_parked, replay_parked
from simpul_dev.backends import Backends
from simpul_runtime.database import engine_for, utc_now
from simpul_runtime.errors import Unprocessable
from simpul_runtime.inbox import Delivery, Inbox
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.envelope import read_json
from simpul_schema.messages import AlertSentV1
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, generate, sign, verification
from tests.support.signing import signed

RING, PUBLIC = generate("notify", not_before=utc_now() - timedelta(days=1), not_after=utc_now() + timedelta(days=1))


@dataclass
class Room:
    """An inbox on a database of its own, with a handler that notes what it handles."""

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
        "specversion": "1.0", "id": str(uuid4()), "source": "/kediri/notify", "type": "alert.sent.v1",
        "subject": f"referral/{subject}", "time": "2026-11-24T00:00:00Z", "datacontenttype": "application/json",
        "sequence": f"{position:010d}", "correlationid": str(uuid4()),
        "data": {"alert_id": str(uuid4()), "referral_id": str(subject), "channel": "sms", "attempts": 1, "sealed": {}},
    }  # fmt: skip
    return Delivery(*signed(unsigned | changes, RING), "simpul.events", "alert.sent.v1")


def of(body: bytes) -> Delivery:
    """These bytes as notify has signed them."""
    return Delivery(body, sign(body, RING), "simpul.events", "alert.sent.v1")


def nested(delivery: Delivery, depth: int) -> bytes:
    """The same event with something in it that lies deep inside arrays; its signature no longer fits."""
    return delivery.body.replace(b'"data":{', b'"deep":' + b"[" * depth + b"]" * depth + b',"data":{', 1)


@pytest.fixture
async def room(backends: Backends) -> AsyncIterator[Room]:
    name = f"inbox_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_desk")
    engine = engine_for(url, connections=3)
    keys = Keys(RING, Directory([PUBLIC]))
    transactions = Transactions(engine, Outbox("kediri", "desk", keys), lambda _: None)

    async def handle(transaction: Transaction, events: Sequence[AlertSentV1]) -> None:
        await found.handle(transaction, events)

    async def at_once() -> None:
        """Always room for more."""

    found = Room(Inbox(engine, transactions, keys, {AlertSentV1: handle}, at_once), url)
    yield found
    await engine.dispose()


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


async def test_a_failing_event_stays_behind_alone_and_is_retried(room: Room) -> None:
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


async def test_a_follower_in_the_same_batch_waits_for_its_failed_predecessor(room: Room) -> None:
    subject = uuid4()
    room.failing[1] = OSError()
    await room.inbox.receive([event(subject, 1), event(subject, 2)])
    states = await room.states()
    assert (states[1], states[2]) == ("retrying", "waiting")
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


async def test_an_id_used_again_for_other_content_is_an_alarm(room: Room) -> None:
    subject, same = uuid4(), str(uuid4())
    await room.inbox.receive([event(subject, 1, id=same)])

    await room.inbox.receive([event(subject, 1, id=same, time="2026-11-24T01:00:00Z")])

    assert room.handled == [(subject, 1)]
    assert await room.reasons() == ["id_reused"]


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (of(b"\x00\xff"), "malformed"),
        (of(b"[]"), "malformed"),
        (of(b"[" * 5000), "malformed"),
        (of(b'{"type": 1}'), "malformed"),
        (of(b"x" * 300_000), "too_large"),
        (of(b'{"type": "alert.sent.v9"}'), "malformed"),
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
        (of(nested(event(uuid4(), 1), 980)), "malformed"),
        (of(nested(event(uuid4(), 1), 200)), "malformed"),
        (replace(event(uuid4(), 1), body=nested(event(uuid4(), 1), 90_000)), "forged"),
        (of(b'{"type": "alert.sent.v1", "source": "\\ud800"}'), "malformed"),
        (of(b'{"type": "alert.sent.v1", "id": ' + b"9" * 5_000 + b"}"), "malformed"),
        (of('{"type": "alert.sent.v1"}'.encode("utf-16")), "malformed"),
    ],
)
async def test_what_cannot_be_trusted_or_read_is_parked(room: Room, delivery: Delivery, reason: str) -> None:
    subject = uuid4()

    await room.inbox.receive([replace(delivery, routing_key="with\x00nul"), event(subject, 1)])

    assert await room.reasons() == [reason]
    assert room.handled == [(subject, 1)]


async def test_nothing_is_parsed_before_its_signature_is_right(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_parked_message_is_replayed_with_the_signature_it_came_with(room: Room) -> None:
    subject = uuid4()
    delivery = event(subject, 1)
    room.failing[1] = OSError()
    await room.inbox.receive([delivery])
    # Its retries go on from what is stored, and end in parking it.
    await room.execute("UPDATE inbox SET attempts = 9, due_at = now()")
    await room.inbox.sweep()
    assert await room.reasons() == ["attempts_exhausted"]
    # Who repeats the body with another signature changes nothing of it.
    await room.inbox.receive([replace(delivery, signature=""), replace(delivery, signature="v1 x y")])
    assert sorted(map(str, await room.reasons())) == ["attempts_exhausted", "forged", "unsigned"]

    room.failing.clear()
    await replay_parked(room.url, "all")
    await room.inbox.sweep()

    assert room.handled == [(subject, 1)]
    assert sorted(map(str, await room.reasons())) == ["forged", "unsigned"]


async def test_what_the_database_refuses_is_parked_alone(room: Room) -> None:
    subject, other = uuid4(), uuid4()
    await room.execute("ALTER TABLE inbox ADD CHECK (sequence <> 2)")
    batch = [event(subject, 1), event(subject, 2), event(other, 1)]

    outcomes = await room.inbox.receive(batch)

    assert outcomes == [None, None, None]
    assert await room.reasons() == ["unstorable"]
    assert sorted(room.handled) == sorted([(subject, 1), (other, 1)])


async def test_what_can_be_neither_stored_nor_parked_is_told_and_harms_no_neighbour(room: Room) -> None:
    subject = uuid4()
    await room.execute("ALTER TABLE inbox ADD CHECK (sequence <> 2)")
    await room.execute("ALTER TABLE parked ADD CHECK (reason <> 'unstorable')")

    first, second = await room.inbox.receive([event(subject, 1), event(subject, 2)])

    assert first is None
    assert isinstance(second, IntegrityError)
    assert room.handled == [(subject, 1)]


async def test_while_the_database_is_away_nothing_is_parked(room: Room) -> None:
    subject = uuid4()
    await room.execute("ALTER TABLE inbox RENAME TO away")

    with pytest.raises(ProgrammingError):
        await room.inbox.receive([event(subject, 1)])

    await room.execute("ALTER TABLE away RENAME TO inbox")
    assert await room.reasons() == []


@pytest.mark.parametrize("routing_key", ["with\x00nul", "half \ud800 pair", "x" * 5_000])
async def test_whatever_the_routing_key_holds_a_message_can_be_parked(room: Room, routing_key: str) -> None:
    await room.inbox.receive([Delivery(b"no event", "", "simpul.events", routing_key)])

    assert await room.reasons() == ["unsigned"]


async def test_a_stored_message_of_a_newer_version_waits_and_holds_up_no_other(room: Room) -> None:
    newer, retried = uuid4(), uuid4()
    room.failing[1] = OSError()
    await room.inbox.receive([event(newer, 1), event(retried, 1)])
    room.failing.clear()
    await room.execute(f"UPDATE inbox SET type = 'alert.sent.v9' WHERE subject = 'referral/{newer}'")
    await room.execute("UPDATE inbox SET due_at = now()")

    await room.inbox.sweep()

    assert room.handled == [(retried, 1)]
    assert (await room.states_of("alert.sent.v9")) == ["retrying"]


async def test_a_stored_message_that_cannot_be_kept_holds_up_no_other(room: Room) -> None:
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

"""The relay on real servers, and migrations that create the tables of the code."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import aio_pika
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.databases import create_databases
from simpul_desk.tables import DeskTable
from simpul_dev.backends import Backends
from simpul_intake import tables as intake_tables
from simpul_notify.tables import NotifyTable
from simpul_routing import tables as routing_tables
from simpul_runtime import relay as relay_module
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.relay import OutboxRelay
from simpul_runtime.tables import MESSAGING
from simpul_schema.amqp_channels import ConfirmedPublisher
from simpul_seal import Directory, KeyRing, generate, sign, signature_in, verify
from simpul_seal.embedded import sign_again
from tests.support.databases import create_migrated
from tests.support.ledger import eventually

OUTBOX = MESSAGING.tables["outbox"]
RING, PUBLIC = generate("desk", not_before=utc_now() - timedelta(days=1), not_after=utc_now() + timedelta(days=1))


def a_relay(engine: AsyncEngine, backends: Backends, ring: KeyRing = RING, *, before: str = "") -> OutboxRelay:
    return OutboxRelay(engine, BrokerAddresses(before + backends.amqp_url), lambda body, _: sign_again(body, ring))


@pytest.fixture
async def engine(backends: Backends) -> AsyncIterator[AsyncEngine]:
    found = create_engine(await create_migrated(backends, "desk", f"relay_{uuid4().hex[:8]}"), connections=5)
    yield found
    await found.dispose()


async def store(engine: AsyncEngine, exchange: str, key: str, *, due_in: float = 0) -> OutboxMessage:
    row = OutboxMessage(uuid4(), exchange, key, b"{}", sign(b"{}", RING), uuid4(), uuid4())
    async with engine.begin() as connection:
        await connection.execute(
            insert(OUTBOX).values(
                message_id=row.message_id,
                exchange=exchange,
                routing_key=key,
                body=row.body,
                signature=row.signature,
                event_id=row.event_id,
                correlation_id=row.correlation_id,
                due_at=utc_now() + timedelta(seconds=due_in),
            )
        )
    return row


async def unpublished(engine: AsyncEngine) -> dict[object, str | None]:
    async with engine.connect() as connection:
        found = await connection.execute(
            select(OUTBOX.c.message_id, OUTBOX.c.last_error).where(OUTBOX.c.published_at.is_(None))
        )
        return {row.message_id: row.last_error for row in found}


async def test_the_next_node_of_a_cluster_is_published_to_when_one_is_away(
    engine: AsyncEngine, backends: Backends
) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        await store(engine, "", queue.name)
        running = asyncio.create_task(a_relay(engine, backends, before="amqp://127.0.0.1:9/,").run())

        async def all_are_published() -> bool:
            return await unpublished(engine) == {}

        await eventually(all_are_published, 90)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_message_committed_during_a_poll_does_not_wait_for_the_next_one(
    engine: AsyncEngine, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls, is_polling = 0, asyncio.Event()

    async def slow_poll(_: OutboxRelay) -> list[OutboxMessage]:
        nonlocal polls
        polls += 1
        is_polling.set()
        await asyncio.sleep(0.3)
        return []

    monkeypatch.setattr(OutboxRelay, "_take_due", slow_poll)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        relay = a_relay(engine, backends)
        running = asyncio.create_task(relay.run())
        await is_polling.wait()
        relay.publish_soon([await store(engine, "", queue.name, due_in=60)])

        async def has_arrived() -> bool:
            return await queue.get(fail=False) is not None

        await eventually(has_arrived)
        assert polls == 1
        running.cancel()


async def test_messages_left_by_a_crash_are_published_and_an_unroutable_one_stays(
    engine: AsyncEngine, backends: Backends
) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        left = await store(engine, "", queue.name, due_in=60)
        lost = await store(engine, "", "no-such-queue")
        relay = asyncio.create_task(a_relay(engine, backends).run())

        async def is_done() -> bool:
            return await unpublished(engine) == {lost.message_id: "PublishError"}

        await eventually(is_done)
        relay.cancel()
        message = await queue.get(timeout=60)

    assert message is not None
    assert message.message_id == str(left.message_id)
    assert message.delivery_mode == 2


async def test_confirmed_messages_are_marked_when_the_relay_stops(
    engine: AsyncEngine, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "MARK_INTERVAL", 3600.0)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await store(engine, "", queue.name)
        relay = a_relay(engine, backends)
        running = asyncio.create_task(relay.run())

        async def is_confirmed() -> bool:
            return bool(relay._confirmed)

        await eventually(is_confirmed)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert await unpublished(engine) == {}


async def test_messages_are_marked_although_the_stop_interrupts_their_marking(
    engine: AsyncEngine, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection, engine.connect() as other:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await store(engine, "", queue.name)
        relay = a_relay(engine, backends)
        marking = asyncio.Event()
        mark = relay._mark_confirmed

        async def noting_mark() -> bool:
            marking.set()
            return await mark()

        monkeypatch.setattr(relay, "_mark_confirmed", noting_mark)
        monkeypatch.setattr(relay_module, "MARK_INTERVAL", 0.5)
        running = asyncio.create_task(relay.run())

        async def is_confirmed() -> bool:
            return bool(relay._confirmed)

        await eventually(is_confirmed)
        # The row is locked, so the statement that marks it waits.
        await other.execute(select(OUTBOX.c.message_id).with_for_update())
        await marking.wait()
        await asyncio.sleep(0)
        running.cancel()
        await other.rollback()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert await unpublished(engine) == {}


async def test_messages_that_cannot_be_published_delay_no_others(engine: AsyncEngine, backends: Backends) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        refused = {
            (await store(engine, "", "k" * 300)).message_id,
            (await store(engine, "", "é" * 200)).message_id,
            (await store(engine, "", "no-such-queue")).message_id,
        }
        missing = {(await store(engine, "no-such-exchange", f"a.{number}")).message_id for number in range(20)}
        good = {(await store(engine, "", queue.name)).message_id for _ in range(20)}
        relay = asyncio.create_task(a_relay(engine, backends).run())

        async def only_the_faulty_are_left() -> bool:
            return set(await unpublished(engine)) == refused | missing

        await eventually(only_the_faulty_are_left)
        later = (await store(engine, "", queue.name)).message_id
        await eventually(only_the_faulty_are_left)
        relay.cancel()
        arrived = set()
        while message := await queue.get(fail=False):
            arrived.add(message.message_id)

    assert arrived == {str(message_id) for message_id in good | {later}}
    left = await unpublished(engine)
    assert all(left[message_id] for message_id in refused | missing)


async def test_messages_for_a_missing_exchange_are_published_once_it_exists(
    engine: AsyncEngine, backends: Backends
) -> None:
    name = f"late-{uuid4().hex[:8]}"
    row = await store(engine, name, "anything")
    relay = asyncio.create_task(a_relay(engine, backends).run())

    async def is_put_off() -> bool:
        return "ChannelNotFoundEntity" in (await unpublished(engine)).values()

    await eventually(is_put_off)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange)

        async def is_published() -> bool:
            return row.message_id not in await unpublished(engine)

        await eventually(is_published)
        relay.cancel()
        assert await queue.get(timeout=60)
        await exchange.delete()


async def test_a_queue_that_accepts_nothing_delays_no_others(
    engine: AsyncEngine, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "CONFIRM_TIMEOUT", 0.5)
    publish_message = OutboxRelay._publish_message

    async def never_confirmed(self: OutboxRelay, publisher: ConfirmedPublisher, row: OutboxMessage) -> None:
        await publish_message(self, publisher, row)
        if row.routing_key.startswith("stuck"):
            await asyncio.Event().wait()

    monkeypatch.setattr(OutboxRelay, "_publish_message", never_confirmed)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        stuck_queue = await channel.declare_queue(f"stuck.{uuid4().hex}", exclusive=True)
        stuck = {(await store(engine, "", stuck_queue.name)).message_id for _ in range(10)}
        for _ in range(10):
            await store(engine, "", queue.name)
        relay = asyncio.create_task(a_relay(engine, backends).run())

        async def only_the_stuck_are_left() -> bool:
            return set(await unpublished(engine)) == stuck

        await eventually(only_the_stuck_are_left)
        await store(engine, "", queue.name)
        await eventually(only_the_stuck_are_left)
        relay.cancel()


@pytest.mark.parametrize(
    ("service", "metadata", "messaging"),
    [
        ("intake", intake_tables.IntakeTable.metadata, intake_tables.MESSAGING),
        ("notify", NotifyTable.metadata, MESSAGING),
        ("routing", routing_tables.RoutingTable.metadata, routing_tables.MESSAGING),
        ("desk", DeskTable.metadata, MESSAGING),
    ],
)  # fmt: skip
async def test_migrations_give_the_tables_of_the_code(
    backends: Backends, service: str, metadata: MetaData, messaging: MetaData
) -> None:
    name = f"migrated_{service}_{uuid4().hex[:6]}"
    await create_databases(backends.postgres_url, {service: name})
    await migrate_async(backends.database_url(name), f"simpul_{service}")

    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection)
        return list(compare_metadata(context, [metadata, messaging]))  # type: ignore[arg-type]

    engine = create_engine(backends.database_url(name), connections=1)
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()

    assert found == []


async def test_bytes_and_signature_arrive_together_even_of_a_row_with_an_embedded_signature(
    engine: AsyncEngine, backends: Backends
) -> None:
    queue_name = f"signed-{uuid4().hex[:8]}"
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name, durable=False)
        await store(engine, "", queue_name)
        before = {"id": "1", "data": {"words": "é"}, "keyid": "desk.old", "signature": "A" * 86}
        async with engine.begin() as database:
            await database.execute(
                insert(OUTBOX).values(
                    message_id=uuid4(),
                    exchange="",
                    routing_key=queue_name,
                    body=json.dumps(before).encode(),
                    event_id=uuid4(),
                    correlation_id=uuid4(),
                    due_at=utc_now(),
                )
            )
        relay = asyncio.create_task(a_relay(engine, backends).run())

        arrived = [await eventually_get(queue) for _ in range(2)]

        relay.cancel()
        await queue.delete(if_unused=False, if_empty=False)
    directory = Directory([PUBLIC])
    for message in arrived:
        assert verify(message.body, signature_in(message.headers), directory, utc_now()) == "desk"
    assert {message.body for message in arrived} == {b"{}", '{"id":"1","data":{"words":"é"}}'.encode()}


async def eventually_get(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    found: list[aio_pika.abc.AbstractIncomingMessage] = []

    async def is_there() -> bool:
        message = await queue.get(fail=False)
        found.extend([message] if message else [])
        return bool(found)

    await eventually(is_there)
    return found[0]

"""The relay on real servers, and migrations that give what the tables say."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import aio_pika
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.backends import Backends
from simpul_cli.databases import create_databases
from simpul_desk.tables import DeskTable
from simpul_intake.tables import IntakeTable
from simpul_notify.tables import NotifyTable
from simpul_routing.tables import RoutingTable
from simpul_runtime.database import engine_for, utc_now
from simpul_runtime.held import OutboxRow
from simpul_runtime.migrations import migrate_async
from simpul_runtime.relay import Relay
from simpul_runtime.tables import MESSAGING, OUTBOX
from tests.support.ledger import eventually


@pytest.fixture
async def engine(backends: Backends) -> AsyncIterator[AsyncEngine]:
    name = f"relay_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    await migrate_async(backends.database_url(name), "simpul_desk")
    found = engine_for(backends.database_url(name), connections=5)
    yield found
    await found.dispose()


async def store(engine: AsyncEngine, exchange: str, key: str, *, due_in: float = 0) -> OutboxRow:
    row = OutboxRow(uuid4(), exchange, key, b"{}", uuid4(), uuid4())
    async with engine.begin() as connection:
        await connection.execute(
            insert(OUTBOX).values(
                message_id=row.message_id, exchange=exchange, routing_key=key, body=row.body, event_id=row.event_id,
                correlation_id=row.correlation_id, due_at=utc_now() + timedelta(seconds=due_in),
            )
        )  # fmt: skip
    return row


async def unpublished(engine: AsyncEngine) -> dict[object, str | None]:
    async with engine.connect() as connection:
        found = await connection.execute(
            select(OUTBOX.c.message_id, OUTBOX.c.last_error).where(OUTBOX.c.published_at.is_(None))
        )
        return {row.message_id: row.last_error for row in found}


async def test_what_is_handed_over_during_a_sweep_does_not_wait_for_the_next_one(
    engine: AsyncEngine, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps, under_way = 0, asyncio.Event()

    async def slow_sweep(_: Relay) -> list[OutboxRow]:
        nonlocal sweeps
        sweeps += 1
        under_way.set()
        await asyncio.sleep(0.3)
        return []

    monkeypatch.setattr(Relay, "_take_due", slow_sweep)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        relay = Relay(engine, backends.amqp_url)
        running = asyncio.create_task(relay.run())
        await under_way.wait()
        relay.hand_over([await store(engine, "", queue.name, due_in=60)])

        async def has_come() -> bool:
            return await queue.get(fail=False) is not None

        await eventually(has_come)
        assert sweeps == 1
        running.cancel()


async def test_what_a_crash_left_behind_is_published_and_an_unroutable_row_stays(
    engine: AsyncEngine, backends: Backends
) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        left = await store(engine, "", queue.name, due_in=60)
        lost = await store(engine, "", "no-such-queue")
        relay = asyncio.create_task(Relay(engine, backends.amqp_url).run())

        async def is_done() -> bool:
            return await unpublished(engine) == {lost.message_id: "PublishError"}

        await eventually(is_done, 10)
        relay.cancel()
        message = await queue.get(timeout=5)

    assert message is not None
    assert message.message_id == str(left.message_id)
    assert message.delivery_mode == 2


@pytest.mark.parametrize(
    ("service", "metadata"),
    [
        ("intake", IntakeTable.metadata), ("routing", RoutingTable.metadata), ("notify", NotifyTable.metadata),
        ("desk", DeskTable.metadata),
    ],
)  # fmt: skip
async def test_migrations_give_the_tables_of_the_code(backends: Backends, service: str, metadata: MetaData) -> None:
    name = f"migrated_{service}_{uuid4().hex[:6]}"
    await create_databases(backends.postgres_url, {service: name})
    await migrate_async(backends.database_url(name), f"simpul_{service}")

    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection)
        return list(compare_metadata(context, [metadata, MESSAGING]))  # type: ignore[arg-type]

    engine = engine_for(backends.database_url(name), connections=1)
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()

    assert found == []

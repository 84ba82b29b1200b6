"""Deliveries wait while a server refuses connections because it is starting, stopping or full."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from simpul_dev.backends import Backends
from simpul_runtime.database import create_engine, is_data_error
from simpul_runtime.inbox import Delivery, Inbox
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import AlertSentV1
from simpul_seal import Directory
from tests.integration.runtime.test_inbox import PUBLIC, RING, event
from tests.support.databases import create_migrated


@asynccontextmanager
async def refusing_server(sqlstate: bytes) -> AsyncIterator[str]:
    """Runs a server that refuses connections as PostgreSQL does while it starts, stops or is full."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = int.from_bytes(await reader.readexactly(4))
            request = await reader.readexactly(size - 4)
            if request[:4] != (80877103).to_bytes(4):
                break
            writer.write(b"N")
        fields = b"SFATAL\0VFATAL\0C" + sqlstate + b"\0Mrefused\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"postgresql://nobody@127.0.0.1:{port}/none"


def inbox_on(url: str) -> tuple[Inbox, Transactions]:
    keys = Keys(RING, Directory([PUBLIC]))
    transactions = Transactions(create_engine(url, connections=2), Outbox("kediri", "desk", keys), lambda _: None)

    async def handle(_: Transaction, __: Sequence[AlertSentV1]) -> None:
        """Handles everything."""

    async def wait_for_nothing() -> None:
        """There is always capacity."""

    return Inbox(transactions._engine, transactions, keys, {AlertSentV1: handle}, wait_for_nothing), transactions


@pytest.mark.parametrize("sqlstate", [b"57P03", b"57P01", b"53300", b"53400", b"28P01", b"3D000", b"55000"])
async def test_a_refused_connection_is_no_data_error(sqlstate: bytes) -> None:
    async with refusing_server(sqlstate) as url:
        inbox, _ = inbox_on(url)

        with pytest.raises(Exception) as refused:  # noqa: PT011 - the driver's errors have no common class
            await inbox.receive([event(uuid4(), 1), event(uuid4(), 1)])

    assert not is_data_error(refused.value)


async def test_while_the_database_refuses_connections_deliveries_wait(backends: Backends) -> None:
    name = f"inbox_{uuid4().hex[:8]}"
    inbox, transactions = inbox_on(await create_migrated(backends, "desk", name))
    administrator = await asyncpg.connect(backends.postgres_url)
    await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    deliveries: list[Delivery] = [event(uuid4(), 1) for _ in range(3)]

    with pytest.raises(Exception):  # noqa: B017, PT011 - the driver's errors have no common class
        await inbox.receive(deliveries)

    await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert await inbox.receive(deliveries) == [None, None, None]
    await transactions._engine.dispose()
    await administrator.close()

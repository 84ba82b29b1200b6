"""Everything outside the vault to which the data of a child could escape, read as bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aio_pika
import aiohttp
import asyncpg

from simpul_agency.broker_api import BrokerApi
from simpul_dev.demo.handset import spool_file
from simpul_schema.catalog import SERVICES
from simpul_seal import signature_in
from tests.faults.conftest import BreakableCity
from tests.support.desk import open_page
from tests.support.ledger import rows

_TOASTABLE: Final = """
    SELECT a.attrelid::regclass::text AS relation, quote_ident(a.attname) AS attribute
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attstorage = 'x' AND NOT a.attisdropped
"""
_WAL_SINCE: Final = """
    SELECT pg_read_binary_file('pg_wal/' || name) AS content FROM pg_ls_waldir()
    WHERE name ~ '^[0-9A-F]{24}$' AND name >= pg_walfile_name($1::text::pg_lsn)
        AND name <= pg_walfile_name(pg_current_wal_lsn())
    ORDER BY name
"""


class Tap:
    """Copies every message that passes through any exchange of the broker, as the broker delivers it."""

    def __init__(self, city: BreakableCity) -> None:
        self._backends = city.backends
        self.messages: list[bytes] = []
        """Routing key, headers, properties and body of each message."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Tap"]:
        """Copies messages during the block."""
        async with BrokerApi(self._backends.rabbitmq_api) as api:
            found = await api.call("GET", "exchanges", "{vhost}")
        names = [one["name"] for one in found if one["name"].startswith("simpul.")]
        async with await aio_pika.connect(self._backends.amqp_url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=500)
            queue = await channel.declare_queue(exclusive=True)
            for name in names:
                await queue.bind(name, "#")
            await queue.consume(self._record, no_ack=True)
            yield self

    async def _record(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        properties = [message.message_id, message.correlation_id, message.user_id, message.app_id, message.type]
        about = [message.routing_key, signature_in(message.headers), *properties, repr(message.headers)]
        self.messages.append("\n".join(map(str, about)).encode() + b"\n" + message.body)


async def store_uncompressed(city: BreakableCity) -> str:
    """Makes PostgreSQL compress nothing, so that its log can be searched; returns the position from which it counts."""
    position = ""
    for service in SERVICES:
        for found in await rows(city, service, _TOASTABLE):
            alter = f"ALTER TABLE {found['relation']} ALTER COLUMN {found['attribute']} SET STORAGE EXTERNAL"
            await rows(city, service, alter)
        (now,) = await rows(city, service, "SELECT pg_current_wal_lsn()::text AS position")
        position = position or str(now["position"])
    return position


async def read_sinks(city: BreakableCity, tap: Tap, wal_position: str) -> dict[str, bytes]:
    """Reads every sink: its name and all its bytes."""
    postgres, rabbit = city.postgres, city.rabbit
    assert postgres
    assert rabbit
    sinks = {
        "messages": b"\n".join(tap.messages),
        "broker disk": _read_folder(rabbit.folder / "mnesia"),
        "broker log": (rabbit.folder / "log.txt").read_bytes() + _read_folder(rabbit.folder / "log"),
        "database log": (postgres.folder / "log").read_bytes(),
        "write-ahead log": await _read_wal(city, wal_position),
        "kit stores": _read_folder(city.ledger.parent / "agencies"),
        "stores at the desk": _read_folder(city.hosted_dir),
        "agencies' ledger": city.ledger.read_bytes(),
        "gateway spool": spool_file(city.folder).read_bytes(),
        "SMS and mail": await _get(city.url("handset") + "/messages"),
        "desk": (await open_page(city)).encode(),
    }
    for service in SERVICES:
        sinks[f"database of {service}"] = await asyncio.to_thread(postgres.dump, city.database_prefix + service)
        sinks[f"metrics of {service}"] = await _get(city.metrics_url(service))
    for log in sorted(city.folder.glob("*.log")):
        sinks[f"log of {log.stem}"] = log.read_bytes()
    return sinks


def _read_folder(folder: Path) -> bytes:
    return b"\n".join(_read_files(folder))


def _read_files(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        # A running server deletes files at any time.
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                yield str(path.relative_to(folder)).encode()
                # Servers write files of a fixed size; the rest holds zeros.
                yield path.read_bytes().rstrip(b"\0")


async def _read_wal(city: BreakableCity, since: str) -> bytes:
    connection = await asyncpg.connect(city.backends.postgres_url)
    try:
        return b"".join(row["content"].rstrip(b"\0") for row in await connection.fetch(_WAL_SINCE, since))
    finally:
        await connection.close()


async def _get(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()

"""The floor: the durable steps of Simpul, written by hand on asyncpg and aiormq without signing, sealing or checks.

`python -m tests.bench.floor intake|routing|notify|agencies`, configured by FLOOR_* in the environment.
"""

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from uuid import UUID, uuid4

import aiormq
import asyncpg
import uvloop
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from simpul_schema.references import referral_code
from tests.bench.bare_http import connect, listen, message
from tests.bench.load import AGENCIES

EVENTS, REFERRALS, REPLIES = "floor.events", "floor.referrals", "floor.replies"
PREFETCH: Final = 250
BATCH: Final = 64
WINDOW: Final = 200
SEALED: Final = "x" * 500
"""Placeholder for the facts of a referral, so that messages are as long as Simpul's."""

TABLES: Final = """
    CREATE TABLE report (report_id uuid PRIMARY KEY, case_id uuid NOT NULL, body bytea NOT NULL);
    CREATE TABLE inbox (event_id uuid PRIMARY KEY, digest bytea NOT NULL, received_at timestamptz DEFAULT now());
    CREATE TABLE case_plan (case_id uuid PRIMARY KEY, decided_at timestamptz DEFAULT now());
    CREATE TABLE referral (referral_id uuid PRIMARY KEY, case_id uuid NOT NULL REFERENCES case_plan,
        agency text NOT NULL);
    CREATE TABLE referral_service (service_id uuid PRIMARY KEY, referral_id uuid NOT NULL REFERENCES referral,
        state text NOT NULL DEFAULT 'offered', delivered_at timestamptz);
    CREATE INDEX ON referral_service (referral_id);
    CREATE TABLE alert (alert_id uuid PRIMARY KEY, referral_id uuid NOT NULL, agency text NOT NULL,
        state text NOT NULL DEFAULT 'pending', notification_id uuid, settled_at timestamptz);
    CREATE TABLE outbox (message_id uuid PRIMARY KEY, exchange text NOT NULL, routing_key text NOT NULL,
        body bytea NOT NULL, created_at timestamptz DEFAULT now(), published_at timestamptz);
    CREATE INDEX ON outbox (created_at) WHERE published_at IS NULL;
"""
QUEUES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "floor.routing": ((EVENTS, "case.#"), (REPLIES, "reply.#")),
    "floor.notify": ((EVENTS, "referral.#"),),
    # Nobody reads it; Simpul's desk queue gets the same messages while the desk is not started.
    "floor.desk": ((EVENTS, "#"),),
    **{f"floor.agency.{agency}": ((REFERRALS, f"referral.{agency}"),) for agency in AGENCIES},
}

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = tuple[UUID, str, str, bytes]
Loop = Callable[[], Awaitable[None]]
"""Message id, exchange, routing key, body."""


class GroupCommit(Generic[Item, Result]):
    """Items that arrive during one commit form the next batch."""

    def __init__(self, process: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._process = process
        self._waiting: deque[tuple[Item, asyncio.Future[Result] | None]] = deque()
        self._arrived = asyncio.Event()

    def put(self, item: Item) -> None:
        """Adds an item without waiting for its result."""
        self._waiting.append((item, None))
        self._arrived.set()

    async def submit(self, item: Item) -> Result:
        """Adds an item and waits for its result."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        self._arrived.set()
        return await done

    async def run(self) -> None:
        """Processes batches until cancelled."""
        while True:
            await self._arrived.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            if not self._waiting:
                self._arrived.clear()
            results = await self._process([item for item, _ in batch])
            for (_, done), result in zip(batch, results, strict=False):
                if done and not done.done():
                    done.set_result(result)


class Relay:
    """Publishes committed rows from memory with confirms in flight, marks them in batches, sweeps the table."""

    def __init__(self, database: asyncpg.Connection, channel: AbstractChannel) -> None:
        self._database = database
        self._channel = channel
        self._committed: deque[Row] = deque()
        self._wake = asyncio.Event()
        self._confirmed: list[UUID] = []
        self._marking = asyncio.Event()

    def enqueue(self, rows: Sequence[Row]) -> None:
        """Queues rows that were just committed for publishing."""
        self._committed.extend(rows)
        self._wake.set()

    async def publish(self) -> None:
        """Publishes until cancelled."""
        while True:
            try:
                async with asyncio.timeout(1):
                    await self._wake.wait()
            except TimeoutError:
                self._committed.extend(await self._left_behind())
            rows = [self._committed.popleft() for _ in range(min(len(self._committed), WINDOW))]
            if not self._committed:
                self._wake.clear()
            if rows:
                await asyncio.gather(*(publish(self._channel, row) for row in rows))
                self._confirmed += [row[0] for row in rows]
                self._marking.set()

    async def mark(self) -> None:
        """Marks confirmed rows until cancelled."""
        while True:
            await self._marking.wait()
            self._marking.clear()
            ids, self._confirmed = self._confirmed, []
            await self._database.execute("UPDATE outbox SET published_at = now() WHERE message_id = ANY($1)", ids)

    async def _left_behind(self) -> list[Row]:
        if self._database.is_in_transaction() or self._marking.is_set():
            return []
        return [
            tuple(row)
            for row in await self._database.fetch(
                "SELECT message_id, exchange, routing_key, body FROM outbox"
                " WHERE published_at IS NULL AND created_at < now() - interval '5 seconds' LIMIT $1", WINDOW,
            )
        ]  # fmt: skip


async def publish(channel: AbstractChannel, row: Row) -> None:
    """Publishes one persistent message with a confirm."""
    message_id, exchange, key, body = row
    properties = Basic.Properties(message_id=str(message_id), delivery_mode=2)
    await channel.basic_publish(
        body,
        exchange=exchange,
        routing_key=key,
        mandatory=True,
        properties=properties,
        wait=False,  # type: ignore[call-arg]  # the real channel takes it, its abstract class does not say so
    )


async def store_outgoing(database: asyncpg.Connection, rows: Sequence[Row]) -> None:
    """Inserts the outbox rows of a transaction."""
    await database.execute(
        "INSERT INTO outbox (message_id, exchange, routing_key, body)"
        " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])", *map(list, zip(*rows, strict=True)),
    )  # fmt: skip


async def store_incoming(
    database: asyncpg.Connection, deliveries: Sequence[DeliveredMessage]
) -> list[tuple[UUID, dict[str, Any]]]:
    """Inserts the inbox rows of a transaction; returns the events that are new."""
    events = {}
    for delivery in deliveries:
        event = json.loads(delivery.body)
        events[UUID(event["id"])] = (event, sha256(delivery.body).digest())
    fresh = await database.fetch(
        "INSERT INTO inbox (event_id, digest) SELECT * FROM unnest($1::uuid[], $2::bytea[])"
        " ON CONFLICT DO NOTHING RETURNING event_id", list(events), [digest for _, digest in events.values()],
    )  # fmt: skip
    return [(row[0], events[row[0]][0]) for row in fresh]


def event_bytes(kind: str, **data: Any) -> bytes:
    """Builds the body of an event."""
    return json.dumps({"id": str(uuid4()), "type": kind, "time": time.time(), "data": data}).encode()


class Process:
    """The connections of a service."""

    database: asyncpg.Connection
    relay: Relay
    link: aiormq.abc.AbstractConnection

    async def open(self) -> None:
        """Two connections to the database, one to the broker."""
        address = os.environ["FLOOR_DATABASE_URL"]
        settings = {"jit": "off"}
        self.database = await asyncpg.connect(address, server_settings=settings)
        self.link = await aiormq.connect(os.environ["FLOOR_AMQP_URL"])
        channel = await self.link.channel(publisher_confirms=True)
        self.relay = Relay(await asyncpg.connect(address, server_settings=settings), channel)

    async def consume(
        self, queue: str, handle: Callable[[Sequence[DeliveredMessage]], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Consumes deliveries in batches, each acknowledged once it is stored; returns the loop to run."""
        channel = await self.link.channel()
        await channel.basic_qos(prefetch_count=PREFETCH)

        async def process(deliveries: Sequence[DeliveredMessage]) -> Sequence[None]:
            await handle(deliveries)
            await channel.basic_ack(deliveries[-1].delivery_tag or 0, multiple=True)
            return ()

        batches: GroupCommit[DeliveredMessage, None] = GroupCommit(process)

        async def take(delivery: DeliveredMessage) -> None:
            batches.put(delivery)

        await channel.basic_consume(queue, take)
        return batches.run


async def run_all(*loops: Callable[[], Awaitable[None]]) -> None:
    """Runs loops until one fails."""
    Path(os.environ["FLOOR_READY"]).touch()  # noqa: ASYNC240 - once
    await asyncio.gather(*(loop() for loop in loops))


async def intake() -> None:
    """POST -> report and outbox row in one group-committed transaction -> 202."""
    process = Process()
    await process.open()

    async def store(reports: Sequence[tuple[UUID, bytes]]) -> list[UUID]:
        cases = {report_id: uuid4() for report_id, _ in reports}
        bodies = dict(reports)
        async with process.database.transaction():
            found = await process.database.fetch(
                "INSERT INTO report SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[])"
                " ON CONFLICT DO NOTHING RETURNING report_id", list(cases), list(cases.values()), list(bodies.values()),
            )  # fmt: skip
            rows: list[Row] = [
                (
                    uuid4(), EVENTS, "case.reported",
                    event_bytes("case.reported", case_id=str(cases[report_id]), sealed=SEALED),
                )
                for (report_id,) in found
            ]  # fmt: skip
            if rows:
                await store_outgoing(process.database, rows)
            if len(found) < len(cases):
                known = await process.database.fetch(
                    "SELECT report_id, case_id FROM report WHERE report_id = ANY($1)", list(cases)
                )
                cases.update(dict(known))
        process.relay.enqueue(rows)
        return [cases[report_id] for report_id, _ in reports]

    commits: GroupCommit[tuple[UUID, bytes], UUID] = GroupCommit(store)

    async def answer(_: bytes, body: bytes) -> bytes:
        case_id = await commits.submit((UUID(json.loads(body)["report_id"]), body))
        return message("HTTP/1.1 202 Accepted", json.dumps({"status": "accepted", "case_id": str(case_id)}).encode())

    await listen(int(os.environ["FLOOR_HTTP_PORT"]), answer)
    await run_all(commits.run, process.relay.publish, process.relay.mark)


async def routing() -> None:
    """Reports become a case and referrals; replies become states."""
    process = Process()
    await process.open()

    async def handle(deliveries: Sequence[DeliveredMessage]) -> None:
        outgoing: list[Row] = []
        async with process.database.transaction():
            fresh = await store_incoming(process.database, deliveries)
            cases = [UUID(event["data"]["case_id"]) for _, event in fresh if event["type"] == "case.reported"]
            if cases:
                outgoing += await refer(process.database, cases)
            replies = [UUID(event["data"]["referral_id"]) for _, event in fresh if event["type"] == "reply.delivered"]
            if replies:
                await process.database.execute(
                    "UPDATE referral_service SET state = 'delivered', delivered_at = now()"
                    " WHERE referral_id = ANY($1) AND state = 'offered'", replies,
                )  # fmt: skip
        process.relay.enqueue(outgoing)

    consuming = await process.consume("floor.routing", handle)
    await run_all(consuming, process.relay.publish, process.relay.mark)


async def refer(database: asyncpg.Connection, cases: Sequence[UUID]) -> list[Row]:
    """Stores cases with their referrals, a service of each, and two outbox rows for each referral."""
    referrals = [(uuid4(), case_id, agency) for case_id in cases for agency in AGENCIES]
    services = {referral_id: uuid4() for referral_id, _, _ in referrals}
    outgoing: list[Row] = []
    for referral_id, case_id, agency in referrals:
        body = event_bytes(
            "referral.offered", referral_id=str(referral_id), case_id=str(case_id), agency=agency, sealed=SEALED,
            services=[{"service_id": str(services[referral_id])}],
        )  # fmt: skip
        outgoing += [
            (uuid4(), EVENTS, "referral.offered", body),
            (uuid4(), REFERRALS, f"referral.{agency}", body),
        ]
    await database.execute("INSERT INTO case_plan (case_id) SELECT * FROM unnest($1::uuid[])", cases)
    await database.execute(
        "INSERT INTO referral (referral_id, case_id, agency) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])",
        *map(list, zip(*referrals, strict=True)),
    )
    await database.execute(
        "INSERT INTO referral_service (service_id, referral_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])",
        list(services.values()), list(services),
    )  # fmt: skip
    await store_outgoing(database, outgoing)
    return outgoing


Alert = tuple[UUID, UUID, str]
"""Alert id, referral id, agency."""
Sent = tuple[UUID, Sequence[Alert]]
"""Notification id and its alerts."""


async def notify() -> None:
    """Referrals become alerts; each agency's are sent, all that wait in one message, then recorded as sent."""
    process = Process()
    await process.open()
    waiting: dict[str, list[Alert]] = {agency: [] for agency in AGENCIES}
    arrived = {agency: asyncio.Event() for agency in AGENCIES}

    async def handle(deliveries: Sequence[DeliveredMessage]) -> None:
        async with process.database.transaction():
            fresh = await store_incoming(process.database, deliveries)
            alerts = [(uuid4(), UUID(event["data"]["referral_id"]), event["data"]["agency"]) for _, event in fresh]
            if alerts:
                await process.database.execute(
                    "INSERT INTO alert (alert_id, referral_id, agency)"
                    " SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])", *map(list, zip(*alerts, strict=True)),
                )  # fmt: skip
        for alert in alerts:
            waiting[alert[2]].append(alert)
            arrived[alert[2]].set()

    async def record(messages: Sequence[Sent]) -> list[None]:
        alerts = [(notification_id, alert) for notification_id, bundle in messages for alert in bundle]
        rows: list[Row] = [
            (
                uuid4(), EVENTS, "alert.sent",
                event_bytes("alert.sent", alert_id=str(alert_id), referral_id=str(referral_id)),
            )
            for _, (alert_id, referral_id, _) in alerts
        ]  # fmt: skip
        async with process.database.transaction():
            await process.database.execute(
                "UPDATE alert a SET state = 'sent', settled_at = now(), notification_id = s.notification_id"
                " FROM unnest($1::uuid[], $2::uuid[]) AS s (alert_id, notification_id) WHERE a.alert_id = s.alert_id",
                [alert[0] for _, alert in alerts], [notification_id for notification_id, _ in alerts],
            )  # fmt: skip
            await store_outgoing(process.database, rows)
        process.relay.enqueue(rows)
        return [None] * len(messages)

    # Both write on one connection, so they take turns.
    turn = asyncio.Lock()

    async def handle_in_turn(deliveries: Sequence[DeliveredMessage]) -> None:
        async with turn:
            await handle(deliveries)

    async def record_in_turn(messages: Sequence[Sent]) -> list[None]:
        async with turn:
            return await record(messages)

    sent: GroupCommit[Sent, None] = GroupCommit(record_in_turn)

    consuming = await process.consume("floor.notify", handle_in_turn)
    senders = [keep_sending(waiting, arrived, agency, sent) for agency in AGENCIES]
    await run_all(consuming, sent.run, process.relay.publish, process.relay.mark, *senders)


def keep_sending(
    waiting: dict[str, list[Alert]], arrived: dict[str, asyncio.Event], agency: str, sent: GroupCommit[Sent, None]
) -> Loop:
    """Returns the loop that sends an agency's alerts, one message at a time."""

    async def send() -> None:
        connection = await connect(int(os.environ["FLOOR_SINK_PORT"]))
        while True:
            await arrived[agency].wait()
            arrived[agency].clear()
            bundle, waiting[agency] = waiting[agency], []
            code = referral_code(bundle[0][1]) if len(bundle) == 1 else f"{len(bundle)} rujukan"
            raw = message(
                "POST /cgi-bin/sendsms HTTP/1.1", f"SIMPUL {code}: rujukan baru, mohon dijawab.".encode(),
                "host: 127.0.0.1", "x-kannel-to: +6283400111001",
            )  # fmt: skip
            status, _ = await connection.request(raw)
            if status == 202:
                # Recorded before the next message, as a message that is not recorded may be sent again.
                await sent.submit((uuid4(), bundle))

    return send


async def agencies() -> None:
    """Each agency's consumer: store with its reply, acknowledge, note, reply confirmed, store that it is done."""
    link = await aiormq.connect(os.environ["FLOOR_AMQP_URL"])
    path = Path(os.environ["FLOOR_LEDGER"])
    with path.open("a", buffering=1) as ledger:  # noqa: ASYNC230 - once, before anything runs
        loops = [await _receive_for(agency, link, ledger.write, path.parent) for agency in AGENCIES]
        await run_all(*(loop for pair in loops for loop in pair))


async def _receive_for(
    agency: str, link: aiormq.abc.AbstractConnection, note: Callable[[str], Any], folder: Path
) -> tuple[Loop, Loop]:
    receiving = await link.channel()
    await receiving.basic_qos(prefetch_count=50)
    replying = await link.channel(publisher_confirms=True)
    thread = ThreadPoolExecutor(1)
    database = sqlite3.connect(folder / f"floor-{agency}.db", isolation_level=None, check_same_thread=False)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS received (id text PRIMARY KEY, body blob, reply blob, done integer DEFAULT 0)"
    )

    def write(query: str, rows: Sequence[tuple[Any, ...]]) -> list[None]:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(query, rows)
        database.execute("COMMIT")
        return [None] * len(rows)

    async def keep(rows: Sequence[tuple[Any, ...]]) -> list[None]:
        query = "INSERT INTO received (id, body, reply) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        return await asyncio.get_running_loop().run_in_executor(thread, write, query, rows)

    async def finish(rows: Sequence[tuple[Any, ...]]) -> list[None]:
        query = "UPDATE received SET done = 1 WHERE id = ?"
        return await asyncio.get_running_loop().run_in_executor(thread, write, query, rows)

    kept: GroupCommit[tuple[Any, ...], None] = GroupCommit(keep)
    finished: GroupCommit[tuple[Any, ...], None] = GroupCommit(finish)

    async def receive(delivery: DeliveredMessage) -> None:
        data = json.loads(delivery.body)["data"]
        body = event_bytes("reply.delivered", referral_id=data["referral_id"], agency=agency)
        await kept.submit((data["referral_id"], delivery.body, body))
        await receiving.basic_ack(delivery.delivery_tag or 0)
        line = {"at": time.time(), "referral_id": data["referral_id"], "case_id": data["case_id"]}
        note(json.dumps(line) + "\n")
        await publish(replying, (uuid4(), REPLIES, f"reply.{agency}", body))
        finished.put((data["referral_id"],))

    await receiving.basic_consume(f"floor.agency.{agency}", receive)
    return kept.run, finished.run


async def prepare(server_url: str, database_urls: dict[str, str], amqp_url: str) -> None:
    """Creates a database for each service, exchanges and quorum queues."""
    server = await asyncpg.connect(server_url)
    for address in database_urls.values():
        await server.execute(f'CREATE DATABASE "{address.rpartition("/")[2]}"')
    await server.close()
    for address in database_urls.values():
        database = await asyncpg.connect(address)
        await database.execute(TABLES)
        await database.close()
    link = await aiormq.connect(amqp_url)
    channel = await link.channel()
    for exchange in (EVENTS, REFERRALS, REPLIES):
        await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    for queue, bindings in QUEUES.items():
        await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        for exchange, key in bindings:
            await channel.queue_bind(queue, exchange, routing_key=key)
    await link.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(KeyboardInterrupt):
        runner.run({"intake": intake, "routing": routing, "notify": notify, "agencies": agencies}[sys.argv[1]]())

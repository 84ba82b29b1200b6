"""The floor: the durable steps of Simpul, written by hand on asyncpg and aiormq without signing, sealing or checks.

It stores the rows of `floor_rows.py` and sends the messages that a case of the load makes in Simpul, also for the
service plan and the rights.

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
from tests.bench.floor_rows import (
    CLOCKS,
    LOOKUPS,
    SEALED,
    SECTIONS,
    TABLES,
    Event,
    Row,
    append_audit,
    event_bytes,
    insert,
    number_events,
    store_incoming,
    store_outgoing,
)
from tests.bench.load import AGENCIES

EVENTS, REFERRALS, REPLIES = "floor.events", "floor.referrals", "floor.replies"
PREFETCH: Final = 250
BATCH: Final = 64
WINDOW: Final = 200
QUEUES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "floor.routing": ((EVENTS, "case.#"), (REPLIES, "reply.#")),
    "floor.notify": ((EVENTS, "referral.#"),),
    # Nobody reads it; Simpul's desk queue gets the same messages while the desk is not started.
    "floor.desk": ((EVENTS, "#"),),
    **{f"floor.agency.{agency}": ((REFERRALS, f"referral.{agency}"),) for agency in AGENCIES},
}

Item = TypeVar("Item")
Result = TypeVar("Result")
Loop = Callable[[], Awaitable[None]]


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
                " WHERE published_at IS NULL AND created_at < now() - interval '5 seconds' LIMIT $1",
                WINDOW,
            )
        ]


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
                " ON CONFLICT DO NOTHING RETURNING report_id",
                list(cases),
                list(cases.values()),
                list(bodies.values()),
            )
            rows = await _open_cases(process.database, [cases[report_id] for (report_id,) in found])
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


async def _open_cases(database: asyncpg.Connection, cases: Sequence[UUID]) -> list[Row]:
    """Stores key, sections and lookups of new cases, and announces them."""
    if not cases:
        return []
    await insert(database, "case_key", "case_id uuid, wrapped bytea", [(case_id, case_id.bytes) for case_id in cases])
    sections = [(case_id, name, SEALED.encode()) for case_id in cases for name in SECTIONS]
    await insert(database, "section", "case_id uuid, name text, ciphertext bytea", sections)
    lookups = [",".join(map(str, _lookups_of(case_id))) for case_id in cases]
    await database.execute(
        "INSERT INTO duplicate_index (case_id, lookup) SELECT id, string_to_array(tokens, ',')::integer[]"
        " FROM unnest($1::uuid[], $2::text[]) AS made (id, tokens)",
        cases,
        lookups,
    )
    events: list[Event] = [
        ("case.reported", f"case/{case_id}", {"case_id": str(case_id), "sealed": SEALED}) for case_id in cases
    ]
    bodies = await number_events(database, events)
    rows = [(uuid4(), EVENTS, kind, body) for (kind, _, _), body in zip(events, bodies, strict=True)]
    await store_outgoing(database, rows)
    await append_audit(database, [("intake", "report.stored", subject) for _, subject, _ in events])
    return rows


def _lookups_of(case_id: UUID) -> list[int]:
    return [(case_id.int >> number) & 0x7FFFFFFF for number in range(LOOKUPS)]


async def routing() -> None:
    """Reports become a case and referrals; replies become states."""
    process = Process()
    await process.open()
    # On a connection of its own, because Simpul also numbers what agencies were sent in other transactions.
    numbering = await asyncpg.connect(os.environ["FLOOR_DATABASE_URL"])

    async def number() -> None:
        while True:
            await numbering.execute(
                "UPDATE outbox SET number = nextval('manifest') WHERE message_id = ANY (ARRAY("
                " SELECT message_id FROM outbox WHERE exchange = 'floor.referrals' AND number IS NULL"
                " ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED))"
            )
            await asyncio.sleep(1)

    async def handle(deliveries: Sequence[DeliveredMessage]) -> None:
        outgoing: list[Row] = []
        async with process.database.transaction():
            fresh = await store_incoming(process.database, deliveries)
            cases = [UUID(event["data"]["case_id"]) for _, event in fresh if event["type"] == "case.reported"]
            if cases:
                outgoing += await refer(process.database, cases)
            replies = [event["data"] for _, event in fresh if event["type"] == "reply.delivered"]
            if replies:
                await _deliver(process.database, replies)
        process.relay.enqueue(outgoing)

    consuming = await process.consume("floor.routing", handle)
    await run_all(consuming, process.relay.publish, process.relay.mark, number)


async def _deliver(database: asyncpg.Connection, replies: Sequence[dict[str, Any]]) -> None:
    """Locks the cases of replies; marks the services as delivered, and stops their first deadlines."""
    referrals = [UUID(reply["referral_id"]) for reply in replies]
    found = await database.fetch(
        "SELECT s.service_id, r.referral_id, r.case_id FROM referral r JOIN referral_service s USING (referral_id)"
        " JOIN case_plan p USING (case_id) WHERE r.referral_id = ANY($1) ORDER BY r.case_id FOR UPDATE OF p",
        referrals,
    )
    services = [row[0] for row in found]
    await database.execute(
        "WITH services AS (UPDATE referral_service SET state = 'delivered', delivered_at = now()"
        " WHERE service_id = ANY($1) AND state = 'offered')"
        " UPDATE clock SET next_at = NULL, stopped_at = now() WHERE service_id = ANY($1) AND clock = $2",
        services,
        CLOCKS[0],
    )
    of_referral = {row[1]: row[2] for row in found}
    await _add_history(
        database,
        [(of_referral[one], "delivered", reply["agency"]) for one, reply in zip(referrals, replies, strict=True)],
    )


async def _add_history(database: asyncpg.Connection, entries: Sequence[tuple[UUID, str, str]]) -> None:
    """Stores what happened in cases, then the same in the audit."""
    await insert(
        database,
        "case_event",
        "event_id uuid, case_id uuid, kind text, payload jsonb",
        [(uuid4(), case_id, kind, json.dumps({"agency": actor})) for case_id, kind, actor in entries],
    )
    await append_audit(database, [(actor, kind, f"case/{case_id}") for case_id, kind, actor in entries])


async def refer(database: asyncpg.Connection, cases: Sequence[UUID]) -> list[Row]:
    """Stores cases with referrals, services, deadlines and a plan; publishes offers, the plan and a right."""
    referrals = [(uuid4(), case_id, agency) for case_id in cases for agency in AGENCIES]
    plans = [(uuid4(), case_id, json.dumps(["counselling", "shelter"])) for case_id in cases]
    # The first agency gets two services, one of them with a deadline less.
    services = [
        (uuid4(), referral_id) for referral_id, _, agency in referrals for _ in range(1 + (agency == AGENCIES[0]))
    ]
    of_referral: dict[UUID, list[dict[str, str]]] = {}
    for service_id, referral_id in services:
        of_referral.setdefault(referral_id, []).append({"service_id": str(service_id)})
    clocks = [
        (service_id, clock)
        for number, (service_id, _) in enumerate(services)
        for clock in CLOCKS[: len(CLOCKS) - (number % 4 == 1)]
    ]
    await insert(database, "case_plan", "case_id uuid, facts text", [(case_id, SEALED) for case_id in cases])
    await insert(database, "referral", "referral_id uuid, case_id uuid, agency text", referrals)
    await insert(database, "referral_service", "service_id uuid, referral_id uuid", services)
    await insert(database, "clock", "service_id uuid, clock text", clocks)
    await insert(database, "service_plan", "referral_id uuid, case_id uuid, services text", plans)
    events: list[Event] = [
        (
            "referral.offered",
            f"referral/{referral_id}",
            {
                "referral_id": str(referral_id),
                "case_id": str(case_id),
                "agency": agency,
                "sealed": SEALED,
                "services": of_referral[referral_id],
            },
        )
        for referral_id, case_id, agency in referrals
    ]
    events += [
        (
            "referral.plan_proposed",
            f"referral/{plan_id}",
            {
                "referral_id": str(plan_id),
                "case_id": str(case_id),
                "agency": AGENCIES[0],
                "sealed": SEALED,
                "services": [{"service_id": str(plan_id)}],
            },
        )
        for plan_id, case_id, _ in plans
    ]
    events += [("right.changed", f"case/{case_id}", {"case_id": str(case_id), "rights": SEALED}) for case_id in cases]
    outgoing: list[Row] = []
    for (kind, _, data), body in zip(events, await number_events(database, events), strict=True):
        outgoing.append((uuid4(), EVENTS, kind, body))
        if "agency" in data:
            outgoing.append((uuid4(), REFERRALS, f"referral.{data['agency']}", body))
    await store_outgoing(database, outgoing)
    history = [("opened", "routing"), ("planned", "routing"), ("changed", "routing")]
    history += [("offered", "routing")] * (len(AGENCIES) + 1)
    await _add_history(database, [(case_id, *entry) for case_id in cases for entry in history])
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
            alerts = await _record_alerts(process.database, [event["data"] for _, event in fresh])
        for alert in alerts:
            waiting[alert[2]].append(alert)
            arrived[alert[2]].set()

    async def record(messages: Sequence[Sent]) -> list[None]:
        alerts = [(notification_id, alert) for notification_id, bundle in messages for alert in bundle]
        events: list[Event] = [
            ("alert.sent", f"referral/{referral_id}", {"alert_id": str(alert_id), "referral_id": str(referral_id)})
            for _, (alert_id, referral_id, _) in alerts
        ]
        async with process.database.transaction():
            sent_ids, notification_ids = [alert[0] for _, alert in alerts], [one for one, _ in alerts]
            await insert(process.database, "delivery", "notification_id uuid", [(one,) for one, _ in messages])
            await process.database.execute(
                "UPDATE alert a SET state = 'sent', settled_at = now(), notification_id = s.notification_id,"
                " leased_until = NULL FROM unnest($1::uuid[], $2::uuid[]) AS s (alert_id, notification_id)"
                " WHERE a.alert_id = s.alert_id",
                sent_ids,
                notification_ids,
            )
            await process.database.execute(
                "UPDATE escalation SET alerted_at = now() WHERE alert_id = ANY($1) AND alerted_at IS NULL", sent_ids
            )
            bodies = await number_events(process.database, events)
            rows: list[Row] = [(uuid4(), EVENTS, "alert.sent", body) for body in bodies]
            await store_outgoing(process.database, rows)
        process.relay.enqueue(rows)
        return [None] * len(messages)

    async def claim(messages: Sequence[Sent]) -> list[None]:
        """Stores messages before they are sent, so that another process does not send them, too."""
        async with process.database.transaction():
            await process.database.execute(
                "UPDATE alert SET leased_until = now() + interval '30 seconds' WHERE alert_id = ANY($1)",
                [alert[0] for _, bundle in messages for alert in bundle],
            )
            rows = [(notification_id, bundle[0][2]) for notification_id, bundle in messages]
            await insert(process.database, "notification", "notification_id uuid, agency text", rows)
        return [None] * len(messages)

    # All write on one connection, so they take turns.
    turn = asyncio.Lock()

    async def handle_in_turn(deliveries: Sequence[DeliveredMessage]) -> None:
        async with turn:
            await handle(deliveries)

    async def record_in_turn(messages: Sequence[Sent]) -> list[None]:
        async with turn:
            return await record(messages)

    async def claim_in_turn(messages: Sequence[Sent]) -> list[None]:
        async with turn:
            return await claim(messages)

    claimed: GroupCommit[Sent, None] = GroupCommit(claim_in_turn)
    sent: GroupCommit[Sent, None] = GroupCommit(record_in_turn)

    consuming = await process.consume("floor.notify", handle_in_turn)
    senders = [keep_sending(waiting, arrived, agency, claimed, sent) for agency in AGENCIES]
    await run_all(consuming, claimed.run, sent.run, process.relay.publish, process.relay.mark, *senders)


async def _record_alerts(database: asyncpg.Connection, offers: Sequence[dict[str, Any]]) -> list[Alert]:
    """Stores services, an alert for each offer and plan, and who is alerted next; returns the alerts."""
    alerts = [(uuid4(), UUID(offer["referral_id"]), offer["agency"]) for offer in offers]
    services = [(UUID(service["service_id"]), "medium") for offer in offers for service in offer["services"]]
    await insert(database, "known_service", "service_id uuid, urgency text", services)
    await insert(database, "alert", "alert_id uuid, referral_id uuid, agency text", alerts)
    await insert(
        database,
        "escalation",
        "escalation_id uuid, case_id uuid, alert_id uuid",
        [(uuid4(), UUID(offer["case_id"]), alert[0]) for offer, alert in zip(offers, alerts, strict=True)],
    )
    return alerts


def keep_sending(
    waiting: dict[str, list[Alert]],
    arrived: dict[str, asyncio.Event],
    agency: str,
    claimed: GroupCommit[Sent, None],
    sent: GroupCommit[Sent, None],
) -> Loop:
    """Returns the loop that sends an agency's alerts, one message at a time."""

    async def send() -> None:
        connection = await connect(int(os.environ["FLOOR_SINK_PORT"]))
        while True:
            await arrived[agency].wait()
            arrived[agency].clear()
            bundle, waiting[agency] = waiting[agency], []
            notification_id = uuid4()
            await claimed.submit((notification_id, bundle))
            code = referral_code(bundle[0][1]) if len(bundle) == 1 else f"{len(bundle)} rujukan"
            raw = message(
                "POST /cgi-bin/sendsms HTTP/1.1",
                f"SIMPUL {code}: rujukan baru, mohon dijawab.".encode(),
                "host: 127.0.0.1",
                "x-kannel-to: +6283400111001",
            )
            status, _ = await connection.request(raw)
            if status == 202:
                # Recorded before the next message, as a message that is not recorded may be sent again.
                await sent.submit((notification_id, bundle))

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
        event = json.loads(delivery.body)
        data, is_offer = event["data"], event["type"] == "referral.offered"
        values = {"referral_id": data["referral_id"], "agency": agency}
        body = event_bytes("reply.delivered", event["subject"], 1, values) if is_offer else b""
        await kept.submit((event["id"], delivery.body, body))
        await receiving.basic_ack(delivery.delivery_tag or 0)
        if is_offer:
            line = {"at": time.time(), "referral_id": data["referral_id"], "case_id": data["case_id"]}
            note(json.dumps(line) + "\n")
            await publish(replying, (uuid4(), REPLIES, f"reply.{agency}", body))
        finished.put((event["id"],))

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

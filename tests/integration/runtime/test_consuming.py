"""The consumer on a real broker: it consumes its queue, and resumes after every fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiormq.abc import AbstractChannel

from simpul_dev.backends import Backends
from simpul_runtime import consuming
from simpul_runtime.acknowledging import Acknowledgements
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.consuming import QueueConsumer
from simpul_runtime.inbox import Delivery
from tests.support.ledger import eventually
from tests.support.raw_amqp import FAULTY_PROPERTIES, RawPublisher

GOOD = b"good"


@dataclass
class Arrivals:
    """What the consumer of one queue delivered, acknowledged at once."""

    queue: str
    consumer: QueueConsumer
    bodies: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    async def has(self, *bodies: bytes) -> bool:
        return set(bodies) <= set(self.bodies)


@asynccontextmanager
async def consuming_from(addresses: str, queue: str) -> AsyncIterator[Arrivals]:
    acknowledgements = Acknowledgements()
    tasks: set[asyncio.Task[None]] = set()

    def deliver(delivery: Delivery) -> None:
        found.bodies.append(delivery.body)
        found.keys.append(delivery.routing_key)
        found.signatures.append(delivery.signature)
        if delivery.receipt:
            tasks.add(asyncio.create_task(acknowledgements.acknowledge([delivery.receipt])))

    consumer = QueueConsumer(BrokerAddresses(addresses), queue, prefetch=10, deliver=deliver, is_idle=lambda: True)
    found = Arrivals(queue, consumer)
    running = asyncio.create_task(consumer.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, *tasks, return_exceptions=True)


@pytest.fixture
async def arrivals(backends: Backends) -> AsyncIterator[Arrivals]:
    name = f"consuming-{uuid4().hex[:8]}"
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("amq.topic", f"{name}.#")
        async with consuming_from(backends.amqp_url, name) as found:
            yield found
        await queue.delete(if_empty=False, if_unused=False)


async def publish(backends: Backends, queue: str, body: bytes) -> None:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.default_exchange.publish(aio_pika.Message(body), queue)


async def test_a_signature_is_delivered_with_its_body_and_an_invalid_one_can_be_stored(
    arrivals: Arrivals, backends: Backends
) -> None:
    values = ("v1 key signature", "a\x00b", bytearray(b"\xff\xfe"), 7, "x" * 5_000)
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel(on_return_raises=True)
        for value in values:
            signed = aio_pika.Message(GOOD, headers={"simpul-signature": value})
            await channel.default_exchange.publish(signed, arrivals.queue)
        await channel.default_exchange.publish(aio_pika.Message(GOOD), arrivals.queue)

        async def all_have_arrived() -> bool:
            return len(arrivals.signatures) == len(values) + 1

        await eventually(all_have_arrived)

    assert arrivals.signatures == ["v1 key signature", *["unreadable"] * 4, ""]


async def test_the_next_node_of_a_cluster_is_consumed_from_when_one_is_away(backends: Backends) -> None:
    queue = f"consuming-{uuid4().hex[:8]}"
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        async with consuming_from(f"amqp://127.0.0.1:9/,{backends.amqp_url}", queue) as arrivals:
            await publish(backends, queue, GOOD)
            await eventually(lambda: arrivals.has(GOOD), 90)
        await channel.queue_delete(queue)


@pytest.mark.parametrize("fault", FAULTY_PROPERTIES)
async def test_a_faulty_property_stops_neither_its_message_nor_the_next(
    arrivals: Arrivals, backends: Backends, fault: str
) -> None:
    publisher = RawPublisher(backends.amqp_url)

    publisher.publish(b"faulty", "", arrivals.queue.encode(), *FAULTY_PROPERTIES[fault])
    publisher.publish(GOOD, "", arrivals.queue.encode())

    await eventually(lambda: arrivals.has(b"faulty", GOOD))
    publisher.close()
    assert arrivals.bodies == [b"faulty", GOOD]


async def test_a_routing_key_that_is_not_utf_8_stops_nothing(arrivals: Arrivals, backends: Backends) -> None:
    publisher = RawPublisher(backends.amqp_url)

    publisher.publish(b"faulty", "amq.topic", arrivals.queue.encode() + b".\xff\xfe")
    publisher.publish(GOOD, "", arrivals.queue.encode())

    await eventually(lambda: arrivals.has(b"faulty", GOOD))
    publisher.close()
    assert arrivals.keys[0] == arrivals.queue + ".\\xff\\xfe"


async def test_it_waits_for_a_missing_queue_and_reports_the_problem(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "REPLACE_AFTER", 1.0)
    name = f"late-{uuid4().hex[:8]}"
    async with (
        consuming_from(backends.amqp_url, name) as found,
        await aio_pika.connect(backends.amqp_url) as connection,
    ):

        async def reports_the_queue() -> bool:
            return found.consumer.find_problems() == [f"consumer: cannot consume from {name}"]

        await eventually(reports_the_queue)

        channel = await connection.channel()
        queue = await channel.declare_queue(name)
        await publish(backends, name, GOOD)

        await eventually(lambda: found.has(GOOD))
        assert found.consumer.find_problems() == []
        await queue.delete(if_empty=False, if_unused=False)


async def test_it_consumes_again_after_its_queue_was_deleted_and_redeclared(
    arrivals: Arrivals, backends: Backends
) -> None:
    await publish(backends, arrivals.queue, b"before")
    await eventually(lambda: arrivals.has(b"before"))
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(arrivals.queue)

        async def reports_a_problem() -> bool:
            return bool(arrivals.consumer.find_problems())

        await eventually(reports_a_problem)
        await channel.declare_queue(arrivals.queue, durable=True, arguments={"x-queue-type": "quorum"})

    async def consumes() -> bool:
        # More than once: RabbitMQ may still route the first into the deleted queue.
        await publish(backends, arrivals.queue, GOOD)
        return await arrivals.has(GOOD)

    await eventually(consumes)


async def test_a_consumer_that_only_the_library_knows_is_replaced(
    arrivals: Arrivals, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "BROKER_CHECK_INTERVAL", 0.5)
    monkeypatch.setattr(consuming, "REPLACE_AFTER", 1.0)
    seen: list[AbstractChannel] = []
    consumes = consuming._consumes

    def noting_consumes(channel: AbstractChannel, tag: str) -> bool:
        seen.append(channel)
        return consumes(channel, tag)

    monkeypatch.setattr(consuming, "_consumes", noting_consumes)
    await publish(backends, arrivals.queue, b"before")
    await eventually(lambda: arrivals.has(b"before"))

    async def is_checked() -> bool:
        return bool(seen)

    await eventually(is_checked)
    channel: Any = seen[-1]
    [tag] = channel.consumers
    callback = channel.consumers[tag]
    await channel.basic_cancel(tag)
    channel.consumers[tag] = callback
    await publish(backends, arrivals.queue, GOOD)

    await eventually(lambda: arrivals.has(GOOD))

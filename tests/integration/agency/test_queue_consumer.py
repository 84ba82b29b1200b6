"""What the kit's receiver does with a message that it cannot store, and with those it is storing when it stops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from faststream.rabbit import RabbitBroker
from structlog.testing import capture_logs

from simpul_agency.queue_consumer import QueueConsumer
from simpul_dev.backends import Backends
from tests.support.amqp_proxy import AmqpProxy
from tests.support.ledger import eventually

COUNT = 20


@dataclass
class Post:
    """A queue with dead letters, and a connection of the test."""

    channel: AbstractChannel
    queue: AbstractQueue
    dead: AbstractQueue

    async def send(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.channel.default_exchange.publish(aio_pika.Message(body), self.queue.name)

    async def count(self, queue: AbstractQueue) -> int:
        """Counts the messages that wait in a queue and are with nobody."""
        return (await self.channel.declare_queue(queue.name, passive=True)).declaration_result.message_count or 0


@dataclass
class Storing:
    """A store that waits until it is opened, and raises for some messages."""

    refuses: frozenset[bytes] = frozenset()
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[bytes] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)

    async def store(self, body: bytes, _: Mapping[str, Any]) -> None:
        self.begun.append(body)
        try:
            await self.is_open.wait()
        except asyncio.CancelledError:
            # As the driver of a database may report it.
            raise ConnectionError from None
        if body in self.refuses:
            raise ValueError
        self.stored.append(body)


@pytest.fixture
async def post(backends: Backends) -> AsyncIterator[Post]:
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        dead = await channel.declare_queue(f"dead-{uuid4().hex[:8]}", auto_delete=True)
        to_dead: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        queue = await channel.declare_queue(f"queue-{uuid4().hex[:8]}", arguments=to_dead)
        yield Post(channel, queue, dead)
        await queue.delete(if_unused=False, if_empty=False)
        await dead.delete(if_unused=False, if_empty=False)


async def connect(amqp_url: str) -> RabbitBroker:
    broker = RabbitBroker(amqp_url, logger=None)
    await broker.connect()
    return broker


async def test_a_message_that_cannot_be_stored_goes_to_the_dead_letters_and_delays_no_other(
    backends: Backends, post: Post
) -> None:
    storing = Storing(frozenset({b"bad"}))
    storing.is_open.set()
    broker = await connect(backends.amqp_url)
    consumer = QueueConsumer(broker, post.queue.name, prefetch=1, store=storing.store)

    async def is_done() -> bool:
        return storing.stored == [b"first", b"last"] and await post.count(post.dead) == 1

    with capture_logs() as logged:
        await consumer.start()
        await post.send(b"first", b"bad", b"last")
        await eventually(is_done)
        await consumer.stop()
        await broker.stop()

    dead = await post.dead.get(no_ack=True)
    assert (dead.body, storing.begun, await post.count(post.queue)) == (b"bad", [b"first", b"bad", b"last"], 0)
    assert [(one["event"], one["error"]) for one in logged] == [("message_not_stored", "ValueError")]


async def test_a_stop_while_messages_are_stored_loses_none_and_stores_none_twice(
    backends: Backends, post: Post
) -> None:
    bodies = [str(number).encode() for number in range(COUNT)]
    storing = Storing()
    broker = await connect(backends.amqp_url)
    consumer = QueueConsumer(broker, post.queue.name, prefetch=COUNT // 2, store=storing.store)

    async def is_storing() -> bool:
        return len(storing.begun) == COUNT // 2

    async def is_cancelled() -> bool:
        return (await post.channel.declare_queue(post.queue.name, passive=True)).declaration_result.consumer_count == 0

    await post.send(*bodies)
    await consumer.start()
    await eventually(is_storing)
    stopping = asyncio.create_task(consumer.stop())
    await eventually(is_cancelled)
    storing.is_open.set()
    await stopping
    await broker.stop()

    left = [await post.queue.get(no_ack=True) for _ in range(await post.count(post.queue))]
    assert sorted([*storing.stored, *(message.body for message in left)]) == sorted(bodies)
    assert storing.begun == storing.stored
    assert [message.body for message in left if message.redelivered] == []


async def test_what_is_delivered_while_the_receiver_stops_is_stored_or_delivered_again(
    backends: Backends, post: Post
) -> None:
    bodies = [str(number).encode() for number in range(COUNT)]
    storing = Storing()
    storing.is_open.set()
    broker = await connect(backends.amqp_url)
    consumer = QueueConsumer(broker, post.queue.name, prefetch=COUNT, store=storing.store)

    await consumer.start()
    await asyncio.gather(post.send(*bodies), consumer.stop())
    await broker.stop()

    async def are_all_somewhere() -> bool:
        return len(storing.stored) + await post.count(post.queue) == COUNT

    await eventually(are_all_somewhere)
    left = [await post.queue.get(no_ack=True) for _ in range(await post.count(post.queue))]
    assert sorted([*storing.stored, *(message.body for message in left)]) == sorted(bodies)


async def test_a_connection_lost_during_a_store_is_no_error_and_the_message_comes_again(
    backends: Backends, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    storing = Storing()
    proxy = AmqpProxy(backends.amqp_url)
    broker = await connect(proxy.url)
    consumer = QueueConsumer(broker, post.queue.name, prefetch=10, store=storing.store)

    async def has_begun() -> bool:
        return storing.begun == [b"one"]

    async def came_again() -> bool:
        return storing.begun == [b"one", b"one"]

    async def is_empty() -> bool:
        return bool(storing.stored) and await post.count(post.queue) == 0

    with caplog.at_level(logging.ERROR, logger="aiormq"):
        await consumer.start()
        await post.send(b"one")
        await eventually(has_begun)
        proxy.cut_all()
        await eventually(came_again)
        storing.is_open.set()
        await eventually(is_empty)
        await consumer.stop()
        await broker.stop()
    proxy.close()

    assert "Consumer callback failed" not in caplog.text
    assert (set(storing.stored), await post.count(post.queue)) == ({b"one"}, 0)

"""Publishing with confirms on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity, PublishError
from pamqp.commands import Basic

from simpul_dev.backends import Backends
from simpul_schema.amqp_channels import ConfirmedPublisher
from tests.support.ledger import eventually

TWO_FRAMES = 300_000
"""Bytes of a body that no frame of this broker holds."""


@pytest.fixture
async def connection(backends: Backends) -> AsyncIterator[AbstractConnection]:
    async with await aio_pika.connect(backends.amqp_url) as connected:
        yield connected


async def open_publisher(connection: AbstractConnection) -> ConfirmedPublisher:
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    return ConfirmedPublisher(await channel.get_underlay_channel())


def publish(publisher: ConfirmedPublisher, body: bytes, key: str, *, exchange: str = "") -> asyncio.Task[None]:
    properties = Basic.Properties(message_id=str(uuid4()), delivery_mode=2, headers={"key": key})
    return asyncio.create_task(publisher.publish(body, exchange=exchange, routing_key=key, properties=properties))


async def test_messages_arrive_whole_and_in_order(connection: AbstractConnection) -> None:
    publisher = await open_publisher(connection)
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    bodies = [b"", b"short", bytes(range(256)) * (TWO_FRAMES // 256), *(str(number).encode() for number in range(500))]

    await asyncio.gather(*(publish(publisher, body, queue.name) for body in bodies))

    arrived = [await queue.get(timeout=60) for _ in bodies]
    assert [message.body for message in arrived] == bodies
    assert all(message.headers == {"key": queue.name} for message in arrived)


async def test_a_message_without_a_queue_fails_alone(connection: AbstractConnection) -> None:
    publisher = await open_publisher(connection)
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    keys = [queue.name, "nowhere", queue.name]

    outcomes = await asyncio.gather(*(publish(publisher, b"{}", key) for key in keys), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), PublishError, type(None)]


async def test_a_message_that_cannot_be_encoded_does_not_shift_the_confirms_of_others(
    connection: AbstractConnection,
) -> None:
    publisher = await open_publisher(connection)
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    keys = ["x" * 300, queue.name, "nowhere"]

    outcomes = await asyncio.gather(*(publish(publisher, b"{}", key) for key in keys), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [TypeError, type(None), PublishError]


async def test_what_closes_the_channel_fails_every_message_in_flight(connection: AbstractConnection) -> None:
    publisher = await open_publisher(connection)
    publishing = [publish(publisher, b"{}", "any", exchange="missing") for _ in range(3)]

    outcomes = await asyncio.gather(*publishing, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {ChannelNotFoundEntity}
    assert publisher.is_closed
    with pytest.raises(ChannelInvalidStateError):
        await publish(publisher, b"{}", "any")


async def test_a_channel_closes_behind_what_was_published_and_another_one_follows(backends: Backends) -> None:
    async with await aio_pika.connect_robust(backends.amqp_url) as connection:
        queue = await (await connection.channel()).declare_queue(exclusive=True)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        publisher = ConfirmedPublisher(await channel.get_underlay_channel())

        async def is_replaced() -> bool:
            found = await channel.get_underlay_channel()
            return found is not publisher.channel and not found.is_closed

        publishing = [publish(publisher, body, queue.name) for body in (b"1", b"2")]
        await asyncio.sleep(0)
        publisher.close_soon()
        with pytest.raises(ChannelInvalidStateError):
            await publish(publisher, b"refused", queue.name)
        await asyncio.gather(*publishing, return_exceptions=True)
        await eventually(is_replaced)
        await publish(ConfirmedPublisher(await channel.get_underlay_channel()), b"3", queue.name)

        arrived = [await queue.get(timeout=60) for _ in range(3)]
        assert [message.body for message in arrived] == [b"1", b"2", b"3"]

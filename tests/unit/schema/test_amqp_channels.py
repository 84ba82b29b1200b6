"""Messages that are published together leave with one write."""

import asyncio
from typing import Any
from uuid import uuid4

from pamqp.commands import Basic

from simpul_schema.amqp_channels import ConfirmedPublisher


class Channel:
    """What the publisher uses of aiormq's channel."""

    number, max_content_size, is_closed = 1, 100, False

    def __init__(self) -> None:
        self.delivery_tag = 0
        self.confirmations: dict[int, asyncio.Future[object]] = {}
        self.message_id_delivery_tag: dict[str, int] = {}
        self.write_queue: asyncio.Queue[Any] = asyncio.Queue(1)
        self.closing = asyncio.get_running_loop().create_future()


async def test_messages_that_are_published_together_leave_with_one_write() -> None:
    channel = Channel()
    publisher = ConfirmedPublisher(channel)  # type: ignore[arg-type]  # a part of it
    publishing = [
        asyncio.create_task(
            publisher.publish(
                b"{}", exchange="e", routing_key="k", properties=Basic.Properties(message_id=str(uuid4()))
            )
        )
        for _ in range(20)
    ]

    frames = await channel.write_queue.get()

    assert list(channel.confirmations) == list(range(1, 21))
    # Method, header and body of each message.
    assert frames.payload.count(b"\xce") == 60
    for confirmed in channel.confirmations.values():
        confirmed.set_result(None)
    await asyncio.gather(*publishing)
    assert channel.message_id_delivery_tag == {}
    assert channel.write_queue.empty()

"""Receives the messages of the agency's queue.

FastStream keeps the connection. Its objects for each message would cost as much as storing the message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Optional

import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aiormq.abc import AbstractChannel
from faststream.rabbit import Channel, RabbitBroker

from simpul_schema.amqp_channels import Acknowledger

STORE_TIMEOUT: Final = 15.0
"""Seconds that received messages have to be stored when the agency stops."""

log = structlog.get_logger()


class QueueConsumer:
    """Acknowledges each message once it is stored; one that cannot be stored goes to the queue's dead letters."""

    def __init__(
        self,
        broker: RabbitBroker,
        queue_name: str,
        *,
        prefetch: int,
        store: Callable[[bytes, Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        """`store` takes a message's body and headers."""
        self._broker = broker
        self._queue_name = queue_name
        self._channel = Channel(prefetch_count=prefetch)
        self._store = store
        self._queue: Optional[AbstractQueue] = None
        self._tag = ""
        self._acknowledger: Optional[Acknowledger] = None
        self._receiving: set[asyncio.Task[Any]] = set()

    @property
    def is_consuming(self) -> bool:
        """Whether messages are received, or will be as soon as the connection is back."""
        return self._queue is not None

    async def start(self) -> None:
        """Starts to receive; the broker must be connected."""
        channel = await self._broker.config.channel_manager.get_channel(self._channel)
        self._queue = await channel.declare_queue(self._queue_name, passive=True)
        self._tag = await self._queue.consume(self._receive)

    async def stop(self) -> None:
        """Stops receiving, and waits until what was received is stored."""
        queue, self._queue = self._queue, None
        if queue is not None and not queue.channel.is_closed:
            await queue.cancel(self._tag)
        if self._receiving:
            await asyncio.wait(self._receiving, timeout=STORE_TIMEOUT)
        for task in self._receiving:
            task.cancel()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        if self._queue is None:
            # The broker delivers it again.
            return
        # A task of its own: the client cancels its tasks when the channel closes, and logs that as an error of each.
        task = asyncio.create_task(self._store_and_settle(message))
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)

    async def _store_and_settle(self, message: AbstractIncomingMessage) -> None:
        tag = message.delivery_tag or 0
        try:
            await self._store(message.body, message.headers)
        except Exception as error:
            log.error("message_not_stored", queue=self._queue_name, error=type(error).__name__)
            self._acknowledger_of(message.channel).reject(tag)
            return
        self._acknowledger_of(message.channel).acknowledge(tag)

    def _acknowledger_of(self, channel: AbstractChannel) -> Acknowledger:
        # Another one after each new connection.
        if self._acknowledger is None or self._acknowledger.channel is not channel:
            self._acknowledger = Acknowledger(channel)
        return self._acknowledger

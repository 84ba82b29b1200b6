"""Keeps one consumer on a service's queue while connections, channels and the queue itself fail.

Consuming on aiormq's channel costs half as much for each message as through aio-pika's objects. A connection that fails
is not repaired but replaced, and so is one that delivers nothing although the broker holds messages for it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError

from simpul_runtime.acknowledging import Receipt
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.inbox import Delivery
from simpul_runtime.supervision import is_cancelled
from simpul_schema.amqp_properties import tolerate_invalid_properties
from simpul_schema.names import REPLIES
from simpul_schema.tracing import traceparent_in
from simpul_seal import signature_in

CHECK_INTERVAL: Final = 0.5
"""Seconds between two looks at the consumer that the library keeps."""
BROKER_CHECK_INTERVAL: Final = 5.0
"""Seconds between two checks of the queue and its consumer in the broker."""
REPLACE_AFTER: Final = 6.0
"""Seconds for which the broker may lack the consumer, or deliver nothing of a queue that holds messages."""
RECONNECT_INTERVAL: Final = 1.0
"""Seconds between two attempts to connect."""
BROKER_TIMEOUT: Final = 10.0
"""Seconds for a start, a stop or a request to the broker."""

log = structlog.get_logger()


class QueueConsumer:
    """Passes the deliveries of one queue to `deliver`."""

    def __init__(
        self,
        addresses: BrokerAddresses,
        queue: str,
        *,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        is_idle: Callable[[], bool],
    ) -> None:
        """Takes `is_idle`, which returns whether every delivery has been stored."""
        tolerate_invalid_properties()
        self._addresses = addresses
        self._queue = queue
        self._prefetch = prefetch
        self._deliver = deliver
        self._is_idle = is_idle
        self._delivered = 0
        self._problem = "is starting"

    def find_problems(self) -> list[str]:
        """Finds why nothing is delivered; nothing if the consumer works."""
        return [f"consumer: {self._problem}"] if self._problem else []

    async def run(self) -> None:
        """Consumes until cancelled."""
        while True:
            connection: AbstractConnection | None = None
            try:
                async with asyncio.timeout(BROKER_TIMEOUT):
                    connection = await aio_pika.connect(self._addresses.next())
                    channel, tag = await self._consume_on(connection)
                self._problem = ""
                await self._wait_until_broken(channel, tag)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                log.warning("consumer_interrupted", queue=self._queue)
            except Exception as error:
                self._problem = f"cannot consume from {self._queue}"
                log.warning("consumer_failed", queue=self._queue, exc_info=error)
            finally:
                await _close(connection)
            await asyncio.sleep(RECONNECT_INTERVAL)

    async def _consume_on(self, connection: AbstractConnection) -> tuple[AbstractChannel, str]:
        """Starts the consumer; returns its channel and its tag.

        The inbox acknowledges deliveries after storing them, in batches. While the database is unavailable it
        acknowledges and rejects nothing, and the messages stay in the broker.
        """
        channel = await (await connection.channel(publisher_confirms=False)).get_underlay_channel()
        await channel.basic_qos(prefetch_count=self._prefetch)
        consuming = await channel.basic_consume(self._queue, partial(self._receive, channel))
        return channel, str(consuming.consumer_tag)

    async def _receive(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        self._delivered += 1
        # Its channel may be closed already. It is stored all the same, because the queue may be deleted, too.
        receipt = None if channel.is_closed else Receipt(channel, message.delivery_tag or 0)
        headers = message.header.properties.headers or {}
        exchange = message.exchange or ""
        # An agency's reply begins a trace, because what an agency sends as one may hold anything.
        trace = "" if exchange == REPLIES else traceparent_in(headers)
        self._deliver(
            Delivery(message.body, signature_in(headers), exchange, message.routing_key or "", receipt, trace)
        )

    async def _wait_until_broken(self, channel: AbstractChannel, tag: str) -> None:
        """Returns when the consumer has to be replaced."""
        loop = asyncio.get_running_loop()
        healthy_at = checked_at = loop.time()
        while _consumes(channel, tag) and loop.time() - healthy_at < REPLACE_AFTER:
            await asyncio.sleep(CHECK_INTERVAL)
            if loop.time() - checked_at >= BROKER_CHECK_INTERVAL:
                self._problem = await self._find_problem_in_broker(channel)
                checked_at = loop.time()
            if not self._problem:
                healthy_at = loop.time()
        log.warning("consumer_replaced", queue=self._queue, source="broker" if self._problem else "library")
        self._problem = self._problem or f"not consuming from {self._queue}"

    async def _find_problem_in_broker(self, channel: AbstractChannel) -> str:
        """Finds why the broker delivers nothing; the library may count on a consumer that the broker has dropped."""
        delivered, self._delivered = self._delivered, 0
        try:
            queue = await channel.queue_declare(self._queue, passive=True, timeout=BROKER_TIMEOUT)
        except (AMQPError, OSError, RuntimeError, TimeoutError):
            return f"the broker does not answer about {self._queue}"
        if not queue.consumer_count:
            return f"the broker has no consumer on {self._queue}"
        if queue.message_count and not delivered and self._is_idle():
            return f"messages wait in {self._queue} and none is delivered"
        return ""


def _consumes(channel: AbstractChannel, tag: str) -> bool:
    """Whether the library knows the consumer; it drops one that the broker has cancelled."""
    return not channel.is_closed and tag in channel.consumers  # type: ignore[attr-defined]  # not in the abstract class


async def _close(connection: AbstractConnection | None) -> None:
    if connection is None:
        return
    with suppress(Exception):
        async with asyncio.timeout(BROKER_TIMEOUT):
            await connection.close()

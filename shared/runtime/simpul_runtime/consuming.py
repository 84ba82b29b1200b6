"""Keeps one consumer on a service's queue, whatever happens to connections, channels and the queue.

FastStream and aio-pika reconnect by themselves, and mostly succeed. What they cannot mend (a queue that was missing
when the service started, a channel that failed while it was being restored, a link on which nothing arrives) is noticed
here, and a new consumer takes the place of the old one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import structlog
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from simpul_runtime.acknowledging import Receipt
from simpul_runtime.amqp_properties import read_deliveries_with_faulty_properties
from simpul_runtime.inbox import Delivery
from simpul_runtime.supervision import is_cancelled
from simpul_seal import signature_in

LOOK: Final = 0.5
"""Seconds between looks at the consumer."""
ASK_BROKER: Final = 5.0
"""Seconds between questions to the broker what it holds for us."""
REPLACE_AFTER: Final = 6.0
"""Seconds a consumer may be gone, or idle beside a queue that is not empty, before a new one takes its place."""
RECONNECT_EVERY: Final = 1.0
"""Seconds between the library's own attempts."""
WITHIN: Final = 10.0
"""Seconds a start, a stop or a question may take."""

log = structlog.get_logger()


class QueueConsumer:
    """Hands over what arrives in one queue."""

    def __init__(
        self,
        amqp_url: str,
        queue: str,
        *,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        is_idle: Callable[[], bool],
    ) -> None:
        """With `is_idle`, whether everything that was delivered is stored."""
        read_deliveries_with_faulty_properties()
        self._amqp_url = amqp_url
        self._queue = queue
        self._prefetch = prefetch
        self._deliver = deliver
        self._is_idle = is_idle
        self._arrived = 0
        self._problem = "is starting"

    def problems(self) -> list[str]:
        """Why nothing can arrive; empty when the consumer is there."""
        return [f"consumer: {self._problem}"] if self._problem else []

    async def run(self) -> None:
        """Consume until cancelled."""
        while True:
            broker = self._new_broker()
            try:
                async with asyncio.timeout(WITHIN):
                    await broker.start()
                self._problem = ""
                await self._watch(broker)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                log.warning("consumer_interrupted", queue=self._queue)
            except Exception as error:
                self._problem = f"cannot consume from {self._queue}"
                log.warning("consumer_failed", queue=self._queue, exc_info=error)
            finally:
                await _stop(broker)
            await asyncio.sleep(RECONNECT_EVERY)

    def _new_broker(self) -> RabbitBroker:
        broker = RabbitBroker(
            self._amqp_url,
            # The inbox acknowledges what it has stored, a batch at a time. While the database is away nothing is
            # acknowledged or rejected, and the broker keeps what it has.
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            fail_fast=False,
            reconnect_interval=RECONNECT_EVERY,
            logger=None,
        )
        broker.subscriber(
            # Declared by `simpul topology apply`; declaring here would also undo the prefetch.
            RabbitQueue(self._queue, declare=False),
            channel=Channel(prefetch_count=self._prefetch),
            decoder=_undecoded,
            no_reply=True,
        )(self._receive)
        return broker

    async def _receive(self, message: RabbitMessage) -> None:
        raw = message.raw_message
        self._arrived += 1
        try:
            receipt = Receipt(raw.channel, raw.delivery_tag or 0)
        except RuntimeError:
            # Its channel is gone already. It is stored all the same, for the queue may be gone too.
            receipt = None
        self._deliver(
            Delivery(raw.body, signature_in(raw.headers or {}), raw.exchange or "", raw.routing_key or "", receipt)
        )

    async def _watch(self, broker: RabbitBroker) -> None:
        """Return when a new consumer is needed."""
        loop = asyncio.get_running_loop()
        good_at, asked_at, broker_says = loop.time(), loop.time(), ""
        while loop.time() - good_at < REPLACE_AFTER:
            await asyncio.sleep(LOOK)
            channel = _channel_of(broker)
            if channel and loop.time() - asked_at >= ASK_BROKER:
                broker_says = await self._ask_broker(channel)
                asked_at = loop.time()
            self._problem = broker_says if channel else f"not consuming from {self._queue}"
            if not self._problem:
                good_at = loop.time()
        log.warning("consumer_replaced", queue=self._queue, in_view_of="broker" if broker_says else "library")

    async def _ask_broker(self, channel: AbstractChannel) -> str:
        """What is wrong in the broker's view; the library can believe in a consumer that the broker has forgotten."""
        arrived, self._arrived = self._arrived, 0
        try:
            queue = await channel.queue_declare(self._queue, passive=True, timeout=WITHIN)
        except (AMQPError, OSError, RuntimeError, TimeoutError):
            return f"the broker does not tell about {self._queue}"
        if not queue.consumer_count:
            return f"the broker sees no consumer on {self._queue}"
        if queue.message_count and not arrived and self._is_idle():
            return f"messages wait in {self._queue} and none arrives"
        return ""


def _channel_of(broker: RabbitBroker) -> AbstractChannel | None:
    """The channel on which the broker's one subscriber consumes now; None when it does not."""
    # FastStream tells it nowhere else.
    [subscriber] = cast("list[Any]", broker.subscribers)
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - as above
    underlay: Any = getattr(queue and queue.channel, "_channel", None)
    channel: Any = underlay.channel if underlay else None
    return channel if channel is not None and not channel.is_closed and tag in channel.consumers else None


async def _stop(broker: RabbitBroker) -> None:
    with suppress(Exception):
        async with asyncio.timeout(WITHIN):
            await broker.stop()


async def _undecoded(message: Any) -> Any:
    """The inbox reads the bytes itself, because what cannot be read must be stored too."""
    return message

"""Publishes and acknowledges on aiormq's channels, with one write for what happens at the same time.

aiormq's own methods cost twice as much for each message: a lock, a timeout, several futures and a system call.

Needs the extra `amqp`.
"""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Optional

from aiormq.abc import AbstractChannel, ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.frame import marshal
from pamqp.header import ContentHeader

_NORMAL: Final = 200
"""The broker's code for what is closed in good order."""


class FrameWriter:
    """Writes frames to a channel, those of one turn of the event loop together."""

    def __init__(self, channel: AbstractChannel) -> None:
        # The abstract class lacks what a channel needs to write frames and to count messages.
        self.channel: Any = channel
        self._waiting: list[bytes] = []
        self._writing: Optional[asyncio.Task[None]] = None
        self.channel.closing.add_done_callback(self._stop)

    def write_soon(self, frames: bytes) -> None:
        """Writes frames after everything that is ready to run now, in the order of the calls."""
        self._waiting.append(frames)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            frames, self._waiting = self._waiting, []
            await self.channel.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))

    def _stop(self, _: "asyncio.Future[object]") -> None:
        # Nothing empties the queue of a connection that is closed.
        if self._writing is not None:
            self._writing.cancel()


class Acknowledger:
    """Acknowledges or rejects deliveries of one channel; if it is closed, the broker delivers them again."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._writer = FrameWriter(channel)

    def acknowledge(self, tag: int) -> None:
        """Acknowledges a delivery."""
        self._settle(Basic.Ack(delivery_tag=tag))

    def reject(self, tag: int) -> None:
        """Sends a delivery to the dead letters of its queue."""
        self._settle(Basic.Reject(delivery_tag=tag, requeue=False))

    def _settle(self, frame: Basic.Ack | Basic.Reject) -> None:
        if not self.channel.is_closed:
            self._writer.write_soon(marshal(frame, self._writer.channel.number))


class ConfirmedPublisher:
    """Publishes on one channel with confirms, on which nothing else publishes."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel: Any = channel
        self._writer = FrameWriter(channel)
        self._unconfirmed: set[asyncio.Future[object]] = set()
        self._is_closing = False
        self.channel.closing.add_done_callback(self._fail_unconfirmed)

    @property
    def is_closed(self) -> bool:
        """Whether the channel is closed, or will be once the broker has read what was written before."""
        return self._is_closing or bool(self.channel.is_closed)

    def close_soon(self) -> None:
        """Closes the channel after what was published on it, without a wait for a broker that reads nothing.

        aiormq's own `close` closes the channel a second time after a timeout, for which the broker ends the connection.
        """
        if not self.is_closed:
            self._is_closing = True
            close = Channel.Close(reply_code=_NORMAL, reply_text="", class_id=0, method_id=0)
            self._writer.write_soon(marshal(close, self.channel.number))

    async def publish(self, body: bytes, *, exchange: str, routing_key: str, properties: Basic.Properties) -> None:
        """Returns once the broker has confirmed the message.

        Raises DeliveryError when it refuses the message, PublishError when no queue gets it, ValueError, TypeError or
        struct.error when the message cannot be encoded, and what closed the channel.
        """
        if self.is_closed:
            msg = "the channel is closed"
            raise ChannelInvalidStateError(msg)
        frames = b"".join(self._encode(body, exchange, routing_key, properties))
        message_id = str(properties.message_id)
        confirmed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        # The broker counts messages by channel, and a returned one is recognised by its id.
        self.channel.delivery_tag += 1
        self.channel.confirmations[self.channel.delivery_tag] = confirmed
        self.channel.message_id_delivery_tag[message_id] = self.channel.delivery_tag
        self._unconfirmed.add(confirmed)
        self._writer.write_soon(frames)
        try:
            await confirmed
        finally:
            self._unconfirmed.discard(confirmed)
            self.channel.message_id_delivery_tag.pop(message_id, None)

    def _encode(self, body: bytes, exchange: str, routing_key: str, properties: Basic.Properties) -> Iterator[bytes]:
        number, size = self.channel.number, self.channel.max_content_size
        yield _encode_method(number, exchange, routing_key)
        yield marshal(ContentHeader(body_size=len(body), properties=properties), number)
        for start in range(0, len(body), size):
            yield marshal(ContentBody(body[start : start + size]), number)

    def _fail_unconfirmed(self, closing: "asyncio.Future[object]") -> None:
        error = None if closing.cancelled() else closing.exception()
        for confirmed in self._unconfirmed:
            if not confirmed.done():
                confirmed.set_exception(error or ChannelInvalidStateError("the channel was closed"))


@lru_cache(maxsize=1024)
def _encode_method(channel: int, exchange: str, routing_key: str) -> bytes:
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel)

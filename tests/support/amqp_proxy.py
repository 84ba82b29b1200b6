"""A proxy between clients and the broker that breaks connections and channels at chosen moments.

The management API lists a connection only some seconds after it was opened, and cannot close a channel. The proxy
reads every frame, so it acts at once: it cuts sockets, sends what a broker sends when an operator closes a
connection, or sends a wrong acknowledgement in a client's name, for which the broker closes that channel.
"""

import asyncio
import random
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_METHOD: Final = 1
_CHANNEL_OPEN, _CHANNEL_CLOSE, _CHANNEL_CLOSE_OK = (20, 10), (20, 40), (20, 41)
_CONNECTION_CLOSE_OK: Final = (10, 51)


def _method(channel: int, class_id: int, method_id: int, arguments: bytes) -> bytes:
    payload = struct.pack(">HH", class_id, method_id) + arguments
    return struct.pack(">BHI", _METHOD, channel, len(payload)) + payload + b"\xce"


def _method_of(frame: bytes) -> tuple[int, int] | None:
    if frame[0] != _METHOD:
        return None
    class_id, method_id = struct.unpack(">HH", frame[7:11])
    return class_id, method_id


_FORCED: Final = b"CONNECTION_FORCED - closed by a test"
_CONNECTION_FORCED: Final = _method(0, 10, 50, struct.pack(">HB", 320, len(_FORCED)) + _FORCED + b"\0\0\0\0")


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    channels: set[int] = field(default_factory=set)

    def cut(self) -> None:
        for writer in (self.client, self.broker):
            writer.transport.abort()

    def force_close(self) -> None:
        """Closes the connection as the broker does when an operator requests it."""
        self.client.write(_CONNECTION_FORCED)
        self.broker.transport.abort()

    def break_channel(self, channel: int) -> None:
        """Acknowledges a delivery that does not exist, so that the broker closes the channel (PRECONDITION_FAILED)."""
        self.broker.write(_method(channel, 60, 80, struct.pack(">QB", 2**40, 0)))


class AmqpProxy:
    """A proxy in a thread of its own, so that it continues while a test blocks."""

    def __init__(self, amqp_url: str) -> None:
        self._target = urlsplit(amqp_url)
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        port = self._server.sockets[0].getsockname()[1]
        netloc = f"{self._target.username}:{self._target.password}@127.0.0.1:{port}"
        self.url = urlunsplit(self._target._replace(netloc=netloc))

    def close(self) -> None:
        """Cuts every connection and stops."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.cut()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        # The event loop closes the sockets in its next iterations.
        await asyncio.sleep(0.1)

    def cut_all(self) -> int:
        """Cuts every socket without closing AMQP; returns the number of connections."""
        return self._each(_Link.cut)

    def force_close_all(self) -> int:
        """Closes every connection as an operator does; returns their number."""
        return self._each(_Link.force_close)

    def cut_one(self, choice: random.Random) -> None:
        """Cuts one socket."""
        self._one(choice, _Link.cut)

    def force_close_one(self, choice: random.Random) -> None:
        """Closes one connection as an operator does."""
        self._one(choice, _Link.force_close)

    def break_one_channel(self, choice: random.Random) -> None:
        """Makes the broker close one channel."""

        def act(link: _Link) -> None:
            if link.channels:
                link.break_channel(choice.choice(sorted(link.channels)))

        self._one(choice, act)

    def _each(self, act: Callable[[_Link], None]) -> int:
        async def all_of_them() -> int:
            links = list(self._links)
            for link in links:
                act(link)
            return len(links)

        return int(self._do(all_of_them()))

    def _one(self, choice: random.Random, act: Callable[[_Link], None]) -> None:
        async def one_of_them() -> None:
            if self._links:
                act(choice.choice(sorted(self._links, key=id)))

        self._do(one_of_them())

    def _do(self, work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(10)

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_broker, broker = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            client.transport.abort()
            return
        link = _Link(client, broker)
        self._links.add(link)
        try:
            broker.write(await from_client.readexactly(8))
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, from_client, broker))
                pumps.create_task(self._pump(link, from_broker, client))
        except* (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while True:
            head = await source.readexactly(7)
            frame = head + await source.readexactly(struct.unpack(">I", head[3:])[0] + 1)
            channel, method = struct.unpack(">H", head[1:3])[0], _method_of(frame)
            if method == _CHANNEL_OPEN:
                link.channels.add(channel)
            elif method in (_CHANNEL_CLOSE, _CHANNEL_CLOSE_OK):
                link.channels.discard(channel)
            target.write(frame)
            await target.drain()
            if method == _CONNECTION_CLOSE_OK:
                raise ConnectionResetError

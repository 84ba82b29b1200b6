"""A minimal HTTP/1.1 for the floor, the sink and the load generator.

It supports bodies with a Content-Length, and one request at a time per connection.
"""

import asyncio
from collections.abc import Awaitable, Callable

Handler = Callable[[bytes, bytes], "bytes | Awaitable[bytes]"]
"""Takes the head and the body of a request; gives the whole response, at once or later."""


def message(first_line: str, body: bytes, *headers: str) -> bytes:
    """A request or a response."""
    return "\r\n".join([first_line, *headers, f"content-length: {len(body)}", "", ""]).encode() + body


def cut(buffer: bytearray) -> tuple[bytes, bytes] | None:
    """Removes the first complete message from the buffer; returns head and body."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end])
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    length = int(lowered[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    if len(buffer) < end + 4 + length:
        return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    return head, body


class ServerConnection(asyncio.Protocol):
    """Answers the requests of one client in order."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while request := cut(self._buffer):
            answer = self._handler(*request)
            if isinstance(answer, bytes):
                self._write(answer)
            else:
                task = asyncio.create_task(self._write_later(answer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _write_later(self, answer: Awaitable[bytes]) -> None:
        self._write(await answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


async def listen(port: int, handler: Handler) -> asyncio.Server:
    """Serves on loopback."""
    return await asyncio.get_running_loop().create_server(lambda: ServerConnection(handler), "127.0.0.1", port)


class ClientConnection(asyncio.Protocol):
    """A persistent connection with one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, raw: bytes) -> tuple[int, bytes]:
        """Sends a request; returns status and body of the response, or raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._answer

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        found = cut(self._buffer)
        if found and self._answer and not self._answer.done():
            self._answer.set_result((int(found[0][9:12]), found[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError())


async def connect(port: int) -> ClientConnection:
    """Connects to a server on loopback."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(ClientConnection, "127.0.0.1", port)
    return connection

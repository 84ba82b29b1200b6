"""Informs open pages that something changed, and who else has a page open; by server-sent events."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final
from uuid import UUID

from fastapi.responses import StreamingResponse

KEEPALIVE: Final = 15.0
"""Seconds after which a silent connection gets a comment, so that a proxy keeps it open."""
CITY: Final = "city"
"""The channel of the city board; every other channel is an agency's, or that of one referral."""
MAX_WAITING: Final = 16
"""Events that wait for a slow page; what waits already leads the page to read everything."""
PAUSES: Final = {CITY: 2.0}
"""Seconds between two events to a page of a channel; what arrives meanwhile is sent once, afterwards."""
PAUSE: Final = 0.3
"""The pause of every other channel."""
_CHANGED: Final = b"event: changed\ndata: 1\n\n"
_HERE: Final = b"event: here\ndata: 1\n\n"
_OPENED: Final = b"event: opened\ndata: 1\n\n"
"""The first event of a connection: the page reads again what changed while it was not connected."""
_COMMENT: Final = b": open\n\n"


@dataclass(frozen=True, slots=True)
class Listener:
    """The person who has a page open."""

    account_id: UUID
    name: str = field(repr=False)
    may_listen: Callable[[], Awaitable[bool]]
    """Whether they are still signed in, and the page is still for them."""


class LiveChannels:
    """The open pages of this process by channel."""

    def __init__(self) -> None:
        self.forward: Callable[[str], None] = lambda _: None
        """Called with each channel that changed, to inform the other processes of the desk."""
        self._listeners: dict[str, dict[object, tuple[asyncio.Queue[bytes], Listener]]] = {}
        self._is_closed = asyncio.Event()

    def announce(self, *channels: str) -> None:
        """Informs the open pages of these channels that something changed."""
        for channel in channels:
            self._send(channel, _CHANGED)
            self.forward(channel)

    def receive(self, channel: str) -> None:
        """Informs the open pages of a channel that changed in another process; of every channel if it is empty."""
        for one in [channel] if channel else list(self._listeners):
            self._send(one, _CHANGED)

    def list_people(self, channel: str) -> list[str]:
        """Lists the names of the people who have a page of a channel open."""
        return sorted({listener.name for _, listener in self._listeners.get(channel, {}).values()})

    async def run(self) -> None:
        """Ends the connections when the process is asked to stop; the server would wait for them."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._close_on(number, asyncio.get_running_loop())
        await asyncio.Event().wait()

    def _close_on(self, number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
        handle = signal.getsignal(number)

        def close_first(received: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.close)
            if callable(handle):
                handle(received, frame)

        signal.signal(number, close_first)

    def close(self) -> None:
        """Ends every connection."""
        self._is_closed.set()
        for channel in list(self._listeners):
            self._send(channel, b"")

    def recheck(self, account_id: UUID) -> None:
        """Ends the connections of a person who may no longer have them, such as after they signed out."""
        for listeners in self._listeners.values():
            for queue, listener in listeners.values():
                if listener.account_id == account_id:
                    queue.put_nowait(b"")

    async def listen(self, channel: str, listener: Listener) -> AsyncIterator[bytes]:
        """Yields the events of a channel until the page is closed, or is no longer for the person who opened it.

        The first event after silence is sent at once; several within a pause are one, and the last is never lost.
        A session that ends in another process ends here within KEEPALIVE.
        """
        pause = PAUSES.get(channel, PAUSE)
        with self._join(channel, listener) as queue:
            yield _OPENED
            while not self._is_closed.is_set():
                try:
                    messages = [await asyncio.wait_for(queue.get(), KEEPALIVE)]
                except TimeoutError:
                    messages = [_COMMENT]
                while not queue.empty():
                    messages.append(queue.get_nowait())
                if not await listener.may_listen():
                    # The page reads again, and is led to the login.
                    yield _CHANGED
                    return
                if events := b"".join(dict.fromkeys(messages)):
                    yield events
                    await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_closed.wait(), seconds)

    @contextmanager
    def _join(self, channel: str, listener: Listener) -> Iterator[asyncio.Queue[bytes]]:
        key, queue = object(), asyncio.Queue[bytes]()
        self._listeners.setdefault(channel, {})[key] = (queue, listener)
        self._send(channel, _HERE)
        try:
            yield queue
        finally:
            del self._listeners[channel][key]
            if self._listeners[channel]:
                self._send(channel, _HERE)
            else:
                del self._listeners[channel]

    def _send(self, channel: str, message: bytes) -> None:
        for queue, _ in self._listeners.get(channel, {}).values():
            if queue.qsize() < MAX_WAITING:
                queue.put_nowait(message)


def event_stream(live: LiveChannels, channel: str, listener: Listener) -> StreamingResponse:
    """Returns the events of a channel for one open page."""
    return StreamingResponse(
        live.listen(channel, listener), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )

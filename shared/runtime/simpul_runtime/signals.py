"""Passes names between the processes of a service through its database, such as of what changed; never content."""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.supervision import is_cancelled

RETRY_DELAY: Final = 2.0
"""Seconds until a connection that was lost is opened again."""
CHECK_INTERVAL: Final = 15.0
"""Seconds after which a silent connection is checked."""
_SEND: Final = "SELECT pg_notify($1, $2 || ' ' || name) FROM unnest($3::text[]) AS name"

log = structlog.get_logger()


class DatabaseSignals:
    """Sends names to the other processes that use the same channel of the database, and receives theirs."""

    def __init__(self, engine: AsyncEngine, channel: str, receive: Callable[[str], None]) -> None:
        """Calls `receive` for each name that another process sends, and with an empty name after names may be lost."""
        self._engine = engine
        self._channel = channel
        self._receive = receive
        self._origin = uuid4().hex
        self._waiting: dict[str, None] = {}
        self._has_waiting = asyncio.Event()

    def send(self, name: str) -> None:
        """Sends a name as soon as possible; it is sent once however often it waits."""
        self._waiting[name] = None
        self._has_waiting.set()

    async def run(self) -> None:
        """Sends and receives until cancelled; connects again when it cannot."""
        while True:
            try:
                await self._run_connected()
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
            except Exception as error:
                log.warning("signals_interrupted", channel=self._channel, error=type(error).__name__)
            await asyncio.sleep(RETRY_DELAY)

    async def _run_connected(self) -> None:
        async with self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            try:
                await driver.add_listener(self._channel, self._take)
                self._receive("")
                while True:
                    await self._send_waiting(driver)
            finally:
                # It listens, so it serves nothing else any more.
                await connection.invalidate()

    async def _send_waiting(self, driver: Any) -> None:
        try:
            await asyncio.wait_for(self._has_waiting.wait(), CHECK_INTERVAL)
        except TimeoutError:
            await driver.execute("SELECT 1")
            return
        self._has_waiting.clear()
        names, self._waiting = list(self._waiting), {}
        await driver.execute(_SEND, self._channel, self._origin, names)

    def _take(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        origin, _, name = payload.partition(" ")
        if origin != self._origin:
            self._receive(name)

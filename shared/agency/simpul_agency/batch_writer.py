"""Group commit: items that arrive during one write form the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

FIRST_RETRY_DELAY: Final = 0.05
"""Seconds until a failed batch is written again; the delay doubles each time."""
MAX_RETRY_DELAY: Final = 5.0
"""Seconds between two attempts at most."""

Item = TypeVar("Item")


class BatchWriter(Generic[Item]):
    """Passes items from many tasks to one `write` at a time, and repeats a batch that fails."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        on_failure: Callable[[Exception], None],
        *,
        max_batch: int = 100,
    ) -> None:
        self._write = write
        self._on_failure = on_failure
        self._max_batch = max_batch
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: Item) -> None:
        """Returns once the item is written."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        self._arrived.set()
        await written

    async def run(self) -> None:
        """Writes batches until cancelled."""
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            if not self._waiting:
                self._arrived.clear()
            await self._write_until_stored(batch)

    async def _write_until_stored(self, batch: Sequence[tuple[Item, "asyncio.Future[None]"]]) -> None:
        delay = FIRST_RETRY_DELAY
        while True:
            try:
                await self._write([item for item, _ in batch])
                break
            except Exception as error:
                self._on_failure(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_RETRY_DELAY)
        for _, written in batch:
            if not written.done():
                written.set_result(None)

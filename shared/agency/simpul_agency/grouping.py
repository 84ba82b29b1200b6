"""Group commit: what comes while one group is written forms the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Groups(Generic[Item]):
    """Hands items from many tasks to one `write` at a time; a group that fails is written again after a wait."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        failed: Callable[[Exception], None],
        *,
        most: int = 100,
    ) -> None:
        self._write = write
        self._failed = failed
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: Item) -> None:
        """Return once the item is written."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        self._arrived.set()
        await written

    async def run(self) -> None:
        """Write groups until cancelled."""
        while True:
            await self._arrived.wait()
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not self._waiting:
                self._arrived.clear()
            await self._settle(group)

    async def _settle(self, group: Sequence[tuple[Item, "asyncio.Future[None]"]]) -> None:
        wait = 0.05
        while True:
            try:
                await self._write([item for item, _ in group])
                break
            except Exception as error:
                self._failed(error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)
        for _, written in group:
            if not written.done():
                written.set_result(None)

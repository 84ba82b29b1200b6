"""Group commit: whatever arrives while one batch is being processed forms the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

import structlog

from simpul_runtime.metrics import BATCH_SIZE

BUSY: Final = 8
"""A batch of so many items says that more are on their way."""
GATHER: Final = 0.004
"""Seconds the next batch then waits to fill; a quiet stream never waits."""

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger()


class Batcher(Generic[Item, Result]):
    """Collects items from many tasks and gives them to one `process` call at a time.

    `process` returns one result per item, an exception standing for a refusal of that item alone. When it raises,
    the whole batch is tried again after a growing wait: the callers keep waiting and nothing is lost.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        limit: int = 64,
        attempts: int | None = None,
    ) -> None:
        self._name = name
        self._process = process
        self._limit = limit
        self._attempts = attempts
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: Item) -> Result:
        """Wait until the item was processed in some batch."""
        return await self.post(item)

    def post(self, item: Item) -> "asyncio.Future[Result]":
        """Hand over an item; the future tells what became of it."""
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        self._arrived.set()
        return outcome

    async def run(self) -> None:
        """Process batches until cancelled."""
        busy = False
        while True:
            await self._arrived.wait()
            if busy and len(self._waiting) < self._limit:
                await asyncio.sleep(GATHER)
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            if not self._waiting:
                self._arrived.clear()
            # A caller that gave up (its channel closed, its client left) no longer needs the work.
            batch = [entry for entry in batch if not entry[1].done()]
            busy = len(batch) >= BUSY
            if batch:
                BATCH_SIZE.labels(self._name).observe(len(batch))
                await self._settle(batch)

    async def _settle(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        wait, attempt = 0.05, 0
        while True:
            attempt += 1
            try:
                results = await self._process([item for item, _ in batch])
                break
            except Exception as error:
                log.warning("batch_failed", type=self._name, count=len(batch), exc_info=error)
                if self._attempts is not None and attempt >= self._attempts:
                    results = [error] * len(batch)
                    break
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)
        for (_, outcome), result in zip(batch, results, strict=True):
            with suppress(asyncio.InvalidStateError):
                if isinstance(result, Exception):
                    outcome.set_exception(result)
                else:
                    outcome.set_result(result)

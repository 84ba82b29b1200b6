"""Group commit: the items that arrive while a batch is processed form the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from simpul_runtime.database import is_data_error
from simpul_runtime.metrics import BATCH_SIZE

BUSY_BATCH_SIZE: Final = 8
"""A batch of at least this size indicates that more items are about to arrive."""
LINGER: Final = 0.004
"""Seconds the next batch then waits for more items; without load no batch waits."""
MAX_FAILURES_TOGETHER: Final = 2
"""Failures after which an item is processed alone, so that it delays no others."""
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.05, 5.0
"""Seconds before a failed batch is processed again, doubling."""

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    outcome: "asyncio.Future[Result]"
    failures: int = 0


class Batcher(Generic[Item, Result]):
    """Collects items from many tasks and processes them in batches, one batch at a time.

    `process` returns one result per item; an exception as result refuses that item alone. If it raises, nothing of the
    batch was done. After a data error (`is_data_error`) the items are processed again one by one, and the item that
    raises it alone is refused with it. After any other error the batch is processed again after a growing delay, up to
    `attempts` times; then the callers get the error. Without a limit the callers wait and nothing is lost; an item that
    has failed MAX_FAILURES_TOGETHER times is then processed alone and after all others, because it may be the cause.
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
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._retry_delay = MIN_RETRY_DELAY
        self._stuck_since: float | None = None

    async def submit(self, item: Item) -> Result:
        """Waits until a batch has processed the item; returns its result."""
        return await self.post(item)

    def post(self, item: Item) -> "asyncio.Future[Result]":
        """Adds an item; the returned future gets its result."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Result] = loop.create_future()
        self._waiting.append(_Entry(item, outcome))
        if self._stuck_since is None:
            self._stuck_since = loop.time()
        self._arrived.set()
        return outcome

    @property
    def stuck_seconds(self) -> float:
        """Seconds that items have waited without a batch being finished; 0 if none waits."""
        return 0.0 if self._stuck_since is None else asyncio.get_running_loop().time() - self._stuck_since

    async def run(self) -> None:
        """Processes batches until cancelled."""
        is_busy = False
        while True:
            await self._arrived.wait()
            if is_busy and len(self._waiting) < self._limit:
                await asyncio.sleep(LINGER)
            batch = self._take_batch()
            is_busy = len(batch) >= BUSY_BATCH_SIZE
            if batch:
                BATCH_SIZE.labels(self._name).observe(len(batch))
                await self._process_batch(batch)
            if not self._waiting:
                self._arrived.clear()
                self._stuck_since = None
                # New items must not wait because earlier ones failed.
                self._retry_delay = MIN_RETRY_DELAY

    def _take_batch(self) -> list[_Entry[Item, Result]]:
        """Takes the next items; one that failed repeatedly forms a batch alone."""
        batch: list[_Entry[Item, Result]] = []
        while self._waiting and len(batch) < self._limit:
            if batch and (self._is_processed_alone(batch[0]) or self._is_processed_alone(self._waiting[0])):
                break
            entry = self._waiting.popleft()
            # A caller that was cancelled, such as after its client disconnected, no longer needs a result.
            if not entry.outcome.done():
                batch.append(entry)
        return batch

    def _is_processed_alone(self, entry: _Entry[Item, Result]) -> bool:
        return self._attempts is None and entry.failures >= MAX_FAILURES_TOGETHER

    async def _process_batch(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = await self._process([entry.item for entry in batch])
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        except Exception as error:
            log.warning("batch_failed", type=self._name, count=len(batch), exc_info=error)
            await self._retry_failed(batch, error)
            return
        for entry, result in zip(batch, results, strict=True):
            _set_outcome(entry.outcome, result)
        self._retry_delay = MIN_RETRY_DELAY
        self._stuck_since = asyncio.get_running_loop().time()

    async def _retry_failed(self, batch: Sequence[_Entry[Item, Result]], error: Exception) -> None:
        if is_data_error(error):
            if len(batch) == 1:
                _set_outcome(batch[0].outcome, error)
                return
            for entry in batch:
                await self._process_batch([entry])
            return
        retried = []
        for entry in batch:
            entry.failures += 1
            if self._attempts is not None and entry.failures >= self._attempts:
                _set_outcome(entry.outcome, error)
            else:
                retried.append(entry)
        if not retried:
            return
        if len(batch) == 1:
            self._waiting.extend(retried)
        else:
            self._waiting.extendleft(reversed(retried))
        await asyncio.sleep(self._retry_delay)
        self._retry_delay = min(self._retry_delay * 2, MAX_RETRY_DELAY)


def _set_outcome(outcome: "asyncio.Future[Result]", result: Result | Exception) -> None:
    with suppress(asyncio.InvalidStateError):
        if isinstance(result, Exception):
            outcome.set_exception(result)
        else:
            outcome.set_result(result)

"""Group commit: whatever arrives while one batch is being processed forms the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from simpul_runtime.database import is_fault_of_data
from simpul_runtime.metrics import BATCH_SIZE

BUSY: Final = 8
"""A batch of so many items says that more are on their way."""
GATHER: Final = 0.004
"""Seconds the next batch then waits to fill; a quiet stream never waits."""
TOGETHER: Final = 2
"""Failures after which an item is processed alone, so that it holds up no others."""
SHORTEST_WAIT, LONGEST_WAIT = 0.05, 5.0
"""Seconds before a failed batch is tried again, doubling."""

Item = TypeVar("Item")
Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    outcome: "asyncio.Future[Result]"
    failures: int = 0


class Batcher(Generic[Item, Result]):
    """Collects items from many tasks and gives them to one `process` call at a time.

    `process` returns one result per item, an exception standing for a refusal of that item alone. When it raises,
    nothing of the batch was done. An error that comes from the data (`is_fault_of_data`) is the end of an item that
    was processed alone, so a batch that raises one is processed again item by item. Any other error is tried again
    after a growing wait, up to `attempts` times, and then the callers get it. Without a limit they keep waiting and
    nothing is lost; after two failures an item is then processed alone and behind all others, for it may be at fault
    after all.
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
        self._wait = SHORTEST_WAIT
        self._stuck_since: float | None = None

    async def submit(self, item: Item) -> Result:
        """Wait until the item was processed in some batch."""
        return await self.post(item)

    def post(self, item: Item) -> "asyncio.Future[Result]":
        """Hand over an item; the future tells what became of it."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Result] = loop.create_future()
        self._waiting.append(_Entry(item, outcome))
        if self._stuck_since is None:
            self._stuck_since = loop.time()
        self._arrived.set()
        return outcome

    @property
    def stuck_seconds(self) -> float:
        """How long items have been waiting without any batch being finished; 0 when none waits."""
        return 0.0 if self._stuck_since is None else asyncio.get_running_loop().time() - self._stuck_since

    async def run(self) -> None:
        """Process batches until cancelled."""
        busy = False
        while True:
            await self._arrived.wait()
            if busy and len(self._waiting) < self._limit:
                await asyncio.sleep(GATHER)
            batch = self._next_batch()
            busy = len(batch) >= BUSY
            if batch:
                BATCH_SIZE.labels(self._name).observe(len(batch))
                await self._settle(batch)
            if not self._waiting:
                self._arrived.clear()
                self._stuck_since = None
                # Whoever comes next must not wait for the failures of those before.
                self._wait = SHORTEST_WAIT

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        """The first that wait; one that failed repeatedly comes alone."""
        batch: list[_Entry[Item, Result]] = []
        while self._waiting and len(batch) < self._limit:
            if batch and (self._goes_alone(batch[0]) or self._goes_alone(self._waiting[0])):
                break
            entry = self._waiting.popleft()
            # A caller that gave up (its client left) no longer needs the work.
            if not entry.outcome.done():
                batch.append(entry)
        return batch

    def _goes_alone(self, entry: _Entry[Item, Result]) -> bool:
        return self._attempts is None and entry.failures >= TOGETHER

    async def _settle(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = await self._process([entry.item for entry in batch])
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        except Exception as error:
            log.warning("batch_failed", type=self._name, count=len(batch), exc_info=error)
            await self._settle_failed(batch, error)
            return
        for entry, result in zip(batch, results, strict=True):
            _resolve(entry.outcome, result)
        self._wait = SHORTEST_WAIT
        self._stuck_since = asyncio.get_running_loop().time()

    async def _settle_failed(self, batch: Sequence[_Entry[Item, Result]], error: Exception) -> None:
        if is_fault_of_data(error):
            if len(batch) == 1:
                _resolve(batch[0].outcome, error)
                return
            for entry in batch:
                await self._settle([entry])
            return
        left = []
        for entry in batch:
            entry.failures += 1
            if self._attempts is not None and entry.failures >= self._attempts:
                _resolve(entry.outcome, error)
            else:
                left.append(entry)
        if not left:
            return
        if len(batch) == 1:
            self._waiting.extend(left)
        else:
            self._waiting.extendleft(reversed(left))
        await asyncio.sleep(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)


def _resolve(outcome: "asyncio.Future[Result]", result: Result | Exception) -> None:
    with suppress(asyncio.InvalidStateError):
        if isinstance(result, Exception):
            outcome.set_exception(result)
        else:
            outcome.set_result(result)

"""Composes the inbox: batches deliveries, acknowledges what is stored, and sweeps what is due."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.acknowledging import Acknowledgements
from simpul_runtime.batching import Batcher
from simpul_runtime.inbox.dispatcher import Dispatcher, Handler
from simpul_runtime.inbox.metrics import update_metrics
from simpul_runtime.inbox.receiver import Receiver
from simpul_runtime.inbox.sweeper import Sweeper
from simpul_runtime.inbox.verification import Delivery
from simpul_runtime.signing import Keys
from simpul_runtime.supervision import keep_running
from simpul_runtime.transaction import Transactions
from simpul_schema import Event

MAX_BATCH_SIZE: Final = 16
"""Deliveries handled in one transaction; 50 take 4 MB more and are not measurably faster."""
SWEEP_INTERVAL: Final = 1.0
"""Seconds between two sweeps, unless an event that was kept for later ends the wait."""

log = structlog.get_logger()


class Inbox:
    """Receives the messages of a service; one per process, and any number may share a queue and a table."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        keys: Keys,
        handlers: Mapping[type[Event], Handler],
        wait_for_capacity: Callable[[], Awaitable[None]],
        *,
        in_order: bool = True,
    ) -> None:
        """Without `in_order` no event waits for its predecessor, so the queue may take a part of a stream."""
        self._engine = engine
        self._batcher: Batcher[Delivery, None] = Batcher("inbox", self._store_and_acknowledge, limit=MAX_BATCH_SIZE)
        self._wait_for_capacity = wait_for_capacity
        self._acknowledgements = Acknowledgements()
        self._sweep_requested = asyncio.Event()
        dispatcher = Dispatcher(handlers, keys, self._sweep_requested.set)
        self._receiver = Receiver(transactions, keys, dispatcher, in_order=in_order)
        self._sweeper = Sweeper(transactions, keys, self._receiver, dispatcher)

    def deliver(self, delivery: Delivery) -> None:
        """Takes a delivery and acknowledges it once it is stored."""
        self._batcher.post(delivery).add_done_callback(_retrieve_outcome)

    @property
    def stuck_seconds(self) -> float:
        """Seconds that deliveries have waited without any batch being stored; 0 if none waits."""
        return self._batcher.stuck_seconds

    async def run(self) -> None:
        """Handles deliveries and sweeps until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("inbox", self._batcher.run))
            tasks.create_task(keep_running("inbox_sweep", self._keep_sweeping))

    async def receive(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        """Stores and handles deliveries; returns for each the error that kept it from being stored or parked."""
        return await self._receiver.receive(deliveries)

    async def sweep(self) -> int:
        """Handles stored messages that are due; returns how many there were."""
        return await self._sweeper.sweep()

    async def _store_and_acknowledge(self, deliveries: Sequence[Delivery]) -> list[Exception | None]:
        await self._wait_for_capacity()
        errors = await self.receive(deliveries)
        outcomes = list(zip(deliveries, errors, strict=True))
        await self._acknowledgements.acknowledge(d.receipt for d, error in outcomes if d.receipt and error is None)
        for delivery, error in outcomes:
            if delivery.receipt and error is not None:
                await self._acknowledgements.reject(delivery.receipt)
        return errors

    async def _keep_sweeping(self) -> None:
        while True:
            # Cleared before the sweep: an event that is kept meanwhile must still end the wait.
            self._sweep_requested.clear()
            try:
                while await self.sweep():
                    pass
                await update_metrics(self._engine)
            except Exception as error:
                log.warning("inbox_sweep_failed", exc_info=error)
            try:
                async with asyncio.timeout(SWEEP_INTERVAL):
                    await self._sweep_requested.wait()
            except TimeoutError:
                continue


def _retrieve_outcome(outcome: "asyncio.Future[None]") -> None:
    """Retrieves the error of a delivery, because nobody awaits it; it was logged and the delivery rejected."""
    if not outcome.cancelled():
        outcome.exception()

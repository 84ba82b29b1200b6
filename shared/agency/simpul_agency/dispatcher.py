"""Calls handlers once for each event; those of one referral one at a time and in order."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final

import structlog

from simpul_agency.batch_writer import BatchWriter
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.records import DueEvent, HandlerResult, OutgoingReply
from simpul_agency.reply import Reply
from simpul_agency.store import Store
from simpul_schema.names import agency_inbox
from simpul_schema.tracing import trace_processing

Handler = Callable[[ReceivedEvent[Any], Reply], Awaitable[None]]

PREDECESSOR_TIMEOUT: Final = 60.0
"""Seconds an event waits for its predecessor before it is handled without it."""
POLL_INTERVAL: Final = 1.0
"""Seconds between two queries for due events."""
FIRST_RETRY_DELAY: Final = 0.5
"""Seconds until a failed handler is called again; the delay doubles with each attempt."""
MAX_RETRY_DELAY: Final = 600.0
"""Seconds between two calls of a handler that keeps failing."""
DRAIN_TIMEOUT: Final = 15.0
"""Seconds that running handlers have to end when the agency stops."""
CACHE_SIZE: Final = 1_000
"""Opened events kept in memory between their arrival and their handler."""

log = structlog.get_logger()


class Dispatcher:
    """Calls handlers for events in memory; events that wait for something stay in the store until they are due."""

    def __init__(
        self,
        store: Store,
        *,
        agency: str,
        concurrency: int,
        open_stored: Callable[[bytes], ReceivedEvent[Any]],
        create_reply: Callable[[ReceivedEvent[Any]], Reply],
        enqueue_replies: Callable[[Sequence[OutgoingReply]], None],
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        """Handlers by wire name."""
        self.own_handlers: dict[str, Handler] = {}
        """What the kit does itself after the agency's handler, by wire name."""
        self._store = store
        self._agency = agency
        self._concurrency = concurrency
        self._open_stored = open_stored
        self._create_reply = create_reply
        self._enqueue_replies = enqueue_replies
        self._results: BatchWriter[HandlerResult] = BatchWriter(self._record_results, self._on_store_failure)
        self._opened: OrderedDict[str, ReceivedEvent[Any]] = OrderedDict()
        self._running: dict[str, asyncio.Task[None]] = {}
        """Running handlers by subject; each referral has one at most."""
        self._queued: set[str] = set()
        """Ids of the events that are ready or being handled."""
        self._ready: deque[DueEvent] = deque()
        self._poll_at = 0.0
        self._is_stopping = False
        self._wakeup = asyncio.Event()

    def cache_opened(self, received: ReceivedEvent[Any]) -> None:
        """Keeps an opened event until its handler is called."""
        self._opened[str(received.event.id)] = received
        if len(self._opened) > CACHE_SIZE:
            self._opened.popitem(last=False)

    def dispatch(self, ready: Sequence[DueEvent], *, others_wait: bool) -> None:
        """Handles stored events that wait for nothing; with `others_wait`, the store has some that wait."""
        self._enqueue(ready)
        if others_wait:
            self._poll_at = 0.0
        self._wakeup.set()

    def reload(self) -> None:
        """Queries the store for due events, because memory may lack some of them."""
        self._poll_at = 0.0
        self._wakeup.set()

    async def run(self) -> None:
        """Calls handlers until cancelled."""
        writer = asyncio.create_task(self._results.run())
        try:
            await self._call_handlers()
        finally:
            writer.cancel()

    async def drain(self) -> None:
        """Waits for the running handlers, and cancels those that do not end in time."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=DRAIN_TIMEOUT)
        self._is_stopping = True
        for task in self._running.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _enqueue(self, events: Sequence[DueEvent]) -> None:
        for event in events:
            if event.event_id not in self._queued:
                self._queued.add(event.event_id)
                self._ready.append(event)

    def _on_store_failure(self, error: Exception) -> None:
        # The commit may have succeeded although its answer was lost.
        self._poll_at = 0.0
        log.error("store_failed", agency=self._agency, error=type(error).__name__)

    async def _call_handlers(self) -> None:
        while True:
            self._wakeup.clear()
            if self._has_capacity and time.time() >= self._poll_at:
                await self._load_due()
            later: list[DueEvent] = []
            while self._ready and self._has_capacity:
                event = self._ready.popleft()
                if event.subject in self._running:
                    later.append(event)
                else:
                    self._running[event.subject] = asyncio.create_task(self._handle(event))
            self._ready += later
            wait = max(self._poll_at - time.time(), 0.01) if self._has_capacity else POLL_INTERVAL
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wakeup.wait(), None if wait == inf else wait)

    @property
    def _has_capacity(self) -> bool:
        return len(self._running) < self._concurrency

    async def _load_due(self) -> None:
        """Loads due events, and schedules the next query: none while no event is pending."""
        now = time.time()
        self._poll_at = inf
        try:
            due, pending, next_at = await self._store.find_due(
                now, PREDECESSOR_TIMEOUT, self._concurrency + len(self._queued)
            )
        except Exception as error:
            self._on_store_failure(error)
            self._poll_at = now + POLL_INTERVAL
            return
        self._enqueue(due)
        if pending:
            self._poll_at = min(self._poll_at, max(next_at, now + POLL_INTERVAL))

    async def _handle(self, due: DueEvent) -> None:
        result = await self._call(due)
        await self._results.submit(result)
        self._queued.discard(due.event_id)
        del self._running[due.subject]
        if result.retry_at is not None:
            self._poll_at = min(self._poll_at, result.retry_at)
        self._wakeup.set()

    async def _call(self, due: DueEvent) -> HandlerResult:
        found = (self.handlers.get(due.type), self.own_handlers.get(due.type))
        handlers = [handler for handler in found if handler is not None]
        if not handlers:
            return HandlerResult(due.source, due.event_id)
        try:
            received = self._opened.pop(due.event_id, None) or self._open_stored(due.body)
            reply = self._create_reply(received)
            with trace_processing([received.event], [received.traceparent], agency_inbox(self._agency)):
                for handler in handlers:
                    await handler(received, reply)
        except (Exception, asyncio.CancelledError) as error:
            # The broker's client cancels its waiters when a connection breaks; only the agency's stop is meant for us.
            if isinstance(error, asyncio.CancelledError) and self._is_stopping:
                raise
            delay = min(FIRST_RETRY_DELAY * 2.0**due.attempts, MAX_RETRY_DELAY)
            reason = type(error).__name__
            log.warning(
                "handler_failed", agency=self._agency, event_id=due.event_id, error=reason, attempts=due.attempts + 1
            )
            return HandlerResult(due.source, due.event_id, retry_at=time.time() + delay, reason=reason)
        return HandlerResult(due.source, due.event_id, reply.drafts)

    async def _record_results(self, results: Sequence[HandlerResult]) -> None:
        self._enqueue_replies(await self._store.record_results(results))

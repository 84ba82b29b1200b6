"""Handlers are called once for each event, those of one referral in order and one at a time."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final

import structlog

from simpul_agency.grouping import Groups
from simpul_agency.received import Received, Reply
from simpul_agency.records import Due, Handled, Outgoing
from simpul_agency.store import Store

Handler = Callable[[Received[Any], Reply], Awaitable[None]]

PATIENCE: Final = 60.0
"""Seconds an event waits for its predecessor before it is handled without."""
LOOK: Final = 1.0
"""Seconds between looks at what is due again."""
LONGEST_WAIT: Final = 600.0
"""Seconds between two calls of a handler that keeps failing."""
LEAVE_WITHIN: Final = 15.0
"""Seconds that handlers have to end when the agency stops."""
REMEMBERED: Final = 1_000
"""Events kept in memory between their arrival and their handler."""

log = structlog.get_logger()


class Handling:
    """Calls handlers from memory; what is not in memory, because it waits for something, is in the store."""

    def __init__(
        self,
        store: Store,
        *,
        agency: str,
        concurrency: int,
        open_again: Callable[[bytes], Received[Any]],
        reply_to: Callable[[Received[Any]], Reply],
        say: Callable[[Sequence[Outgoing]], None],
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        """By wire name."""
        self._store = store
        self._agency = agency
        self._concurrency = concurrency
        self._open_again = open_again
        self._reply_to = reply_to
        self._say = say
        self._handled: Groups[Handled] = Groups(self._finish, self._not_stored)
        self._recent: OrderedDict[str, Received[Any]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """By the referral."""
        self._queued: set[str] = set()
        """Events that are ready or with their handler."""
        self._ready: deque[Due] = deque()
        self._look_at = 0.0
        self._is_ending = False
        self._something_due = asyncio.Event()

    def remember(self, received: Received[Any]) -> None:
        """Keep an event opened until its handler is called."""
        self._recent[str(received.event.id)] = received
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def take(self, ready: Sequence[Due], *, some_wait: bool) -> None:
        """These are stored and wait for nothing; others may wait for a predecessor."""
        self._enqueue(ready)
        if some_wait:
            self._look_at = 0.0
        self._something_due.set()

    def look_again(self) -> None:
        """Memory may lack some of what is stored."""
        self._look_at = 0.0
        self._something_due.set()

    async def run(self) -> None:
        """Call handlers until cancelled."""
        finishing = asyncio.create_task(self._handled.run())
        try:
            await self._keep_handling()
        finally:
            finishing.cancel()

    async def drain(self) -> None:
        """Let the handlers at work end."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LEAVE_WITHIN)
        self._is_ending = True
        for task in self._under_way.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _enqueue(self, events: Sequence[Due]) -> None:
        for event in events:
            if event.event_id not in self._queued:
                self._queued.add(event.event_id)
                self._ready.append(event)

    def _not_stored(self, error: Exception) -> None:
        # It may have been stored all the same, its answer lost.
        self._look_at = 0.0
        log.error("store_failed", agency=self._agency, error=type(error).__name__)

    async def _keep_handling(self) -> None:
        while True:
            self._something_due.clear()
            if self._has_room and time.time() >= self._look_at:
                await self._find_due()
            later: list[Due] = []
            while self._ready and self._has_room:
                event = self._ready.popleft()
                if event.subject in self._under_way:
                    later.append(event)
                else:
                    self._under_way[event.subject] = asyncio.create_task(self._handle(event))
            self._ready += later
            wait = max(self._look_at - time.time(), 0.01) if self._has_room else LOOK
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._something_due.wait(), None if wait == inf else wait)

    @property
    def _has_room(self) -> bool:
        return len(self._under_way) < self._concurrency

    async def _find_due(self) -> None:
        """Look into the store, and settle when to look again: never while nothing is there."""
        now = time.time()
        self._look_at = inf
        try:
            due, waiting, next_at = await self._store.due(now, PATIENCE, self._concurrency + len(self._queued))
        except Exception as error:
            self._not_stored(error)
            self._look_at = now + LOOK
            return
        self._enqueue(due)
        if waiting:
            self._look_at = min(self._look_at, max(next_at, now + LOOK))

    async def _handle(self, due: Due) -> None:
        handled = await self._call(due)
        await self._handled.submit(handled)
        self._queued.discard(due.event_id)
        del self._under_way[due.subject]
        if handled.again_at is not None:
            self._look_at = min(self._look_at, handled.again_at)
        self._something_due.set()

    async def _call(self, due: Due) -> Handled:
        handler = self.handlers.get(due.type)
        if handler is None:
            return Handled(due.source, due.event_id)
        try:
            received = self._recent.pop(due.event_id, None) or self._open_again(due.body)
            reply = self._reply_to(received)
            await handler(received, reply)
        except (Exception, asyncio.CancelledError) as error:
            # The broker's client cancels its waiters when a link dies; only the end of the agency is meant for us.
            if isinstance(error, asyncio.CancelledError) and self._is_ending:
                raise
            wait = min(0.5 * 2.0**due.attempts, LONGEST_WAIT)
            reason = type(error).__name__
            log.warning(
                "handler_failed", agency=self._agency, event_id=due.event_id, error=reason, attempts=due.attempts + 1
            )
            return Handled(due.source, due.event_id, again_at=time.time() + wait, reason=reason)
        return Handled(due.source, due.event_id, reply.drafts)

    async def _finish(self, handled: Sequence[Handled]) -> None:
        self._say(await self._store.finish(handled))

"""The order in which the recipients of one channel are served."""

import asyncio
import heapq
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

RecipientT = TypeVar("RecipientT", bound=Hashable)


class RecipientQueue(Generic[RecipientT]):
    """Recipients for whom something is due by one channel: urgent ones first, each served by one worker at a time.

    What becomes due for a recipient who is being served is the recipient's next message, so that a flood becomes few
    messages without delaying the first. The queue holds each recipient once, however much is due.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[bool, int, RecipientT]] = []
        self._entries: dict[RecipientT, tuple[bool, int, RecipientT]] = {}
        self._serving: set[RecipientT] = set()
        self._again: dict[RecipientT, bool] = {}
        self._numbers = count()
        self._arrived = asyncio.Event()

    def put(self, recipient: RecipientT, is_urgent: bool) -> None:
        """Adds a recipient, or moves one up that has become urgent."""
        if recipient in self._serving:
            self._again[recipient] = is_urgent or self._again.get(recipient, False)
            return
        queued = self._entries.get(recipient)
        # False sorts first.
        if queued is None or queued[0] > (not is_urgent):
            entry = (not is_urgent, next(self._numbers), recipient)
            self._entries[recipient] = entry
            heapq.heappush(self._heap, entry)
            self._arrived.set()

    async def take(self) -> RecipientT:
        """Waits for the next recipient, who is then being served until `finish`."""
        while True:
            while self._heap:
                entry = heapq.heappop(self._heap)
                recipient = entry[2]
                # One that was moved up has an older entry as well.
                if self._entries.get(recipient) == entry:
                    del self._entries[recipient]
                    self._serving.add(recipient)
                    return recipient
            self._arrived.clear()
            await self._arrived.wait()

    def finish(self, recipient: RecipientT) -> None:
        """Ends serving a recipient; one for whom something became due meanwhile is queued again."""
        self._serving.discard(recipient)
        is_urgent = self._again.pop(recipient, None)
        if is_urgent is not None:
            self.put(recipient, is_urgent)

"""What the agency says is published until the broker has confirmed it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from uuid import uuid4

import structlog
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

from simpul_agency.records import Outgoing, SignedBody
from simpul_agency.store import Store
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.names import REPLIES, routing_key
from simpul_seal import SIGNATURE_HEADER

CONFIRM_WITHIN: Final = 10.0
"""Seconds the broker has to confirm a reply."""
NOTE: Final = 0.5
"""Seconds until it is noted that the broker has heard a reply; forgotten in a crash, it is said again."""
LONGEST_WAIT: Final = 5.0
"""Seconds between attempts while the broker is away, so that replies move soon after it is back."""
MOST: Final = 200
"""Replies on their way to the broker at once."""

log = structlog.get_logger()


class Saying:
    """Publishes from memory; what is not in memory, after a start or a failure, is in the store."""

    def __init__(
        self,
        store: Store,
        broker: RabbitBroker,
        *,
        agency: str,
        user: str,
        sign_again: Callable[[bytes], SignedBody],
    ) -> None:
        """With `sign_again`, what to do with replies of a version that put the signature into the body."""
        self._sign_again = sign_again
        self._store = store
        self._broker = broker
        self._agency = agency
        self._user = user
        self._exchange = RabbitExchange(REPLIES, type=ExchangeType.TOPIC, declare=False)
        self._outgoing: deque[Outgoing] = deque()
        self._heard: list[Outgoing] = []
        self._look_into_store = True
        self._something_said = asyncio.Event()

    def say(self, replies: Sequence[Outgoing]) -> None:
        """Publish these; they are stored."""
        self._outgoing += replies
        self._something_said.set()

    def look_again(self) -> None:
        """Memory may lack some of what is stored."""
        self._look_into_store = True
        self._something_said.set()

    async def run(self) -> None:
        """Publish until cancelled; after a failure with growing waits."""
        wait = 0.5
        while True:
            self._something_said.clear()
            try:
                waiting = await self._unsaid()
                told = await asyncio.gather(*(self._publish(reply) for reply in waiting), return_exceptions=True)
            except Exception as error:
                log.error("store_failed", agency=self._agency, error=type(error).__name__)
                self._look_into_store = True
                await asyncio.sleep(wait)
                continue
            heard = [reply for reply, outcome in zip(waiting, told) if outcome is None]  # noqa: B905 - Python 3.10
            self._heard += heard
            if len(heard) < len(waiting):
                log.warning("replies_wait", agency=self._agency, count=len(waiting) - len(heard))
                self._look_into_store = True
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            wait = 0.5
            if not self._outgoing and not self._look_into_store:
                await self._wait_for_more()

    async def note_heard(self) -> None:
        """Note in the store what the broker has confirmed so far."""
        heard, self._heard = self._heard, []
        if not heard:
            return
        try:
            await self._store.published(heard, time.time())
        except Exception as error:
            # They are said again, and the city knows them.
            log.error("store_failed", agency=self._agency, error=type(error).__name__)
            self._look_into_store = True

    async def _wait_for_more(self) -> None:
        """Until something is said; what the broker has heard is noted meanwhile, many at a time."""
        try:
            await asyncio.wait_for(self._something_said.wait(), NOTE if self._heard else None)
        except asyncio.TimeoutError:
            await self.note_heard()

    async def _unsaid(self) -> list[Outgoing]:
        """From memory, or from the store where memory may lack some."""
        if len(self._heard) >= MOST or self._look_into_store:
            await self.note_heard()
        if self._look_into_store:
            self._outgoing.clear()
            found = await self._store.unpublished(MOST)
            self._look_into_store = len(found) == MOST
            return found
        return [self._outgoing.popleft() for _ in range(min(len(self._outgoing), MOST))]

    async def _publish(self, reply: Outgoing) -> None:
        if not reply.signature:
            signed = self._sign_again(reply.body)
            reply = replace(reply, body=signed.body, signature=signed.signature)
        publishing = self._broker.publish(
            reply.body,
            exchange=self._exchange,
            routing_key=routing_key(REPLIES, reply.wire_name, self._agency),
            message_id=str(uuid4()),
            correlation_id=reply.correlation_id,
            content_type=CONTENT_TYPE,
            headers={"simpul-exchange": REPLIES, SIGNATURE_HEADER: reply.signature},
            # The broker refuses a message whose user is not who has connected.
            user_id=self._user,
            persist=True,
        )
        # The broker's own timeout is not honoured; this one is.
        await asyncio.wait_for(publishing, CONFIRM_WITHIN)

"""Publishes stored replies and retries until the broker confirms them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Optional
from uuid import uuid4

import structlog
from aiormq.exceptions import ChannelInvalidStateError
from faststream.rabbit import RabbitBroker
from pamqp.commands import Basic

from simpul_agency.records import OutgoingReply, SignedBody
from simpul_agency.store import Store
from simpul_schema.amqp_channels import ConfirmedPublisher
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.names import REPLIES, routing_key
from simpul_seal import SIGNATURE_HEADER

CONFIRM_TIMEOUT: Final = 10.0
"""Seconds the broker has to confirm a reply."""
LINGER: Final = 0.5
"""Seconds until confirmations are recorded, many at a time. A crash before that publishes the replies again."""
FIRST_RETRY_DELAY: Final = 0.5
"""Seconds until the first retry after a failure; the delay doubles each time."""
MAX_RETRY_DELAY: Final = 5.0
"""Seconds between retries at most: short, so that replies move soon after the broker is back."""
MAX_IN_FLIGHT: Final = 200
"""Replies that wait for a confirmation at once."""

log = structlog.get_logger()


class ReplyOutbox:
    """Publishes replies from memory; after a start or a failure it loads the unpublished ones from the store."""

    def __init__(
        self,
        store: Store,
        broker: RabbitBroker,
        *,
        agency: str,
        user: str,
        sign_again: Callable[[bytes], SignedBody],
    ) -> None:
        """`sign_again` signs replies stored by a version that put the signature into the body."""
        self._sign_again = sign_again
        self._store = store
        self._broker = broker
        self._agency = agency
        self._user = user
        self._publisher: Optional[ConfirmedPublisher] = None
        self._pending: deque[OutgoingReply] = deque()
        self._confirmed: list[OutgoingReply] = []
        self._must_reload = True
        self._wakeup = asyncio.Event()

    def enqueue(self, replies: Sequence[OutgoingReply]) -> None:
        """Publishes these replies soon; they are already stored."""
        self._pending += replies
        self._wakeup.set()

    def reload(self) -> None:
        """Loads unpublished replies from the store, because memory may lack some of them."""
        self._must_reload = True
        self._wakeup.set()

    async def run(self) -> None:
        """Publishes until cancelled, with growing delays after failures."""
        delay = FIRST_RETRY_DELAY
        while True:
            self._wakeup.clear()
            try:
                batch = await self._next_batch()
                confirmed = await self._publish_together(batch)
            except Exception as error:
                log.error("store_failed", agency=self._agency, error=type(error).__name__)
                self._must_reload = True
                await asyncio.sleep(delay)
                continue
            self._confirmed += confirmed
            if len(confirmed) < len(batch):
                log.warning("publish_failed", agency=self._agency, count=len(batch) - len(confirmed))
                self._must_reload = True
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_RETRY_DELAY)
                continue
            delay = FIRST_RETRY_DELAY
            if not self._pending and not self._must_reload:
                await self._wait_for_replies()

    async def publish_stored(self) -> bool:
        """Publishes the stored replies once, for a program that receives nothing; returns whether all were confirmed.

        A consumer that runs at the same time may publish the same replies; the city recognises them by their ids.
        """
        while batch := await self._store.find_unpublished(MAX_IN_FLIGHT):
            confirmed = await self._publish_together(batch)
            await self._store.mark_published(confirmed, time.time())
            if len(confirmed) < len(batch):
                return False
        return True

    async def record_confirmed(self) -> None:
        """Marks the replies that the broker has confirmed as published."""
        confirmed, self._confirmed = self._confirmed, []
        if not confirmed:
            return
        try:
            await self._store.mark_published(confirmed, time.time())
        except Exception as error:
            # They are published again, and the city recognises them by their ids.
            log.error("store_failed", agency=self._agency, error=type(error).__name__)
            self._must_reload = True

    async def _wait_for_replies(self) -> None:
        """Waits for more replies, and records confirmations meanwhile."""
        try:
            await asyncio.wait_for(self._wakeup.wait(), LINGER if self._confirmed else None)
        except asyncio.TimeoutError:
            await self.record_confirmed()

    async def _next_batch(self) -> list[OutgoingReply]:
        """Takes replies from memory, or from the store when memory may lack some."""
        if len(self._confirmed) >= MAX_IN_FLIGHT or self._must_reload:
            await self.record_confirmed()
        if self._must_reload:
            self._pending.clear()
            unpublished = await self._store.find_unpublished(MAX_IN_FLIGHT)
            self._must_reload = len(unpublished) == MAX_IN_FLIGHT
            return unpublished
        return [self._pending.popleft() for _ in range(min(len(self._pending), MAX_IN_FLIGHT))]

    async def _publish_together(self, replies: Sequence[OutgoingReply]) -> list[OutgoingReply]:
        """Publishes replies; returns those that the broker has confirmed in time."""
        if not replies:
            return []
        try:
            publisher = await asyncio.wait_for(self._open_publisher(), CONFIRM_TIMEOUT)
        except Exception as error:
            log.warning("broker_not_connected", agency=self._agency, error=type(error).__name__)
            return []
        publishing = [asyncio.create_task(self._publish(publisher, reply)) for reply in replies]
        try:
            _, unconfirmed = await asyncio.wait(publishing, timeout=CONFIRM_TIMEOUT)
            if unconfirmed:
                # They may still wait to be read by the broker, and must not be written a second time behind that.
                publisher.close_soon()
        finally:
            for task in publishing:
                task.cancel()
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        return [reply for reply, outcome in zip(replies, outcomes) if outcome is None]  # noqa: B905 - Python 3.10

    async def _publish(self, publisher: ConfirmedPublisher, reply: OutgoingReply) -> None:
        if not reply.signature:
            signed = self._sign_again(reply.body)
            reply = replace(reply, body=signed.body, signature=signed.signature)
        await publisher.publish(
            reply.body,
            exchange=REPLIES,
            routing_key=routing_key(REPLIES, reply.wire_name, self._agency),
            properties=Basic.Properties(
                message_id=str(uuid4()),
                correlation_id=reply.correlation_id,
                content_type=CONTENT_TYPE,
                delivery_mode=2,
                headers={"simpul-exchange": REPLIES, SIGNATURE_HEADER: reply.signature},
                # The broker refuses a message whose user is not the one that connected.
                user_id=self._user,
            ),
        )

    async def _open_publisher(self) -> ConfirmedPublisher:
        channel = await (await self._broker.config.channel_manager.get_channel()).get_underlay_channel()
        # Another one after each new connection.
        if self._publisher is None or self._publisher.channel is not channel:
            self._publisher = ConfirmedPublisher(channel)
        if self._publisher.is_closed:
            msg = "the channel is closed until the broker has read what was published on it"
            raise ChannelInvalidStateError(msg)
        return self._publisher

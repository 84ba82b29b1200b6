"""Watches the queue of events that reached no other queue: somebody does not get what was published for them."""

import asyncio
from datetime import timedelta
from typing import Final

import aio_pika
import structlog
from aiormq.exceptions import AMQPError

from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.metrics import MESSAGES_UNROUTED
from simpul_schema.names import UNROUTED

MEASURE_INTERVAL: Final = timedelta(seconds=30)
CONNECT_TIMEOUT: Final = 10.0
"""Seconds."""

log = structlog.get_logger()


class UnroutedWatch:
    """Counts the unrouted messages, and logs once when there are some."""

    def __init__(self, addresses: BrokerAddresses) -> None:
        self._addresses = addresses
        self._count = 0

    async def run(self) -> None:
        """Measures until cancelled; what the broker does not answer is measured later."""
        while True:
            try:
                await self.measure()
            except (AMQPError, OSError, TimeoutError) as error:
                log.warning("unrouted_not_measured", error=type(error).__name__)
            await asyncio.sleep(MEASURE_INTERVAL.total_seconds())

    async def measure(self) -> None:
        """Counts once."""
        async with asyncio.timeout(CONNECT_TIMEOUT), await aio_pika.connect(self._addresses.next()) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(UNROUTED, passive=True)
            count = queue.declaration_result.message_count or 0
        MESSAGES_UNROUTED.set(count)
        if count and not self._count:
            log.error("messages_unrouted", count=count)
        self._count = count

    def find_warnings(self) -> list[str]:
        """Finds what an operator must act on."""
        if not self._count:
            return []
        return [f"{self._count} events reached no queue and wait in {UNROUTED}: run `simpul topology apply`"]

"""Has people alerted about breaches, and warns operators before a notice is due and when it is overdue.

The operator's command has no key to sign with: it stores a breach, and this loop announces it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Gauge

from simpul_intake import publisher, repository
from simpul_intake.breach import WARN_BEFORE
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions

INTERVAL: Final = timedelta(minutes=1)
BREACH_DUE: Final = Gauge(
    "simpul_breach_due_timestamp_seconds",
    "When the next notice of a breach of personal data is due; 0 when none is open",
    registry=REGISTRY,
)

log = structlog.get_logger()


class WatchBreaches:
    """Reads the open breaches every minute; several processes watch side by side without harm."""

    def __init__(self, transactions: Transactions, now: Callable[[], datetime] = utc_now) -> None:
        self._transactions = transactions
        self._now = now

    async def run(self) -> None:
        """Watches until cancelled."""
        await repeat(self.watch, INTERVAL, "breach_watch_failed")

    async def watch(self) -> None:
        """Announces and checks once."""
        await self.announce()
        await self.check_deadlines()

    async def announce(self) -> None:
        """Publishes breaches that were opened, and those of which every notice was given."""
        async with self._transactions.begin() as transaction:
            found = await repository.take_unannounced_breaches(transaction.connection, transaction.now)
            for breach in found:
                transaction.enqueue_event(publisher.breach_found(breach))
        if found:
            log.info("breaches_announced", count=len(found))

    async def check_deadlines(self) -> None:
        """Logs deadlines that are near or over."""
        async with self._transactions.begin() as transaction:
            due = await repository.find_due_notices(transaction.connection)
        BREACH_DUE.set(due[0].timestamp() if due else 0)
        now = self._now()
        overdue = [deadline for deadline in due if deadline <= now]
        near = [deadline for deadline in due if now < deadline <= now + WARN_BEFORE]
        if overdue:
            log.error("breach_notice_overdue", count=len(overdue))
        if near:
            log.error("breach_notice_due", count=len(near), seconds=int((near[0] - now).total_seconds()))

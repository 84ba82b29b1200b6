"""Deletes the log of messages when its time has passed."""

from datetime import timedelta
from typing import Final

import structlog

from simpul_notify.repository import retention
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions

INTERVAL: Final = timedelta(hours=1)
"""Time between two searches."""
BATCH: Final = 500
"""Cases and messages of one transaction, so that none is long."""

log = structlog.get_logger()


class DeleteExpired:
    """Deletes what is older than the city keeps it; several processes may run at once."""

    def __init__(self, transactions: Transactions, kept_for: timedelta) -> None:
        self._transactions = transactions
        self._kept_for = kept_for

    async def run(self) -> None:
        """Deletes until cancelled."""
        await repeat(self.delete, INTERVAL, "retention_failed")

    async def delete(self) -> int:
        """Deletes everything that has expired, one batch after the other; returns how many cases and messages."""
        total = 0
        while True:
            async with self._transactions.begin() as transaction:
                deleted = await retention.delete_expired(transaction, self._kept_for, BATCH)
            total += deleted
            if not deleted:
                break
        if total:
            log.info("messages_deleted", count=total)
        return total

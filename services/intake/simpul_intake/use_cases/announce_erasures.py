"""Announces to the other services what was erased from the vault, so that they erase what they keep of it.

Erasing needs no key, and the operator's command has none to sign with: it stores what was erased, and a loop of the
service announces it.
"""

from datetime import timedelta
from typing import Final

import structlog

from simpul_intake import publisher, repository
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions

POLL_INTERVAL: Final = timedelta(seconds=5)
"""How often the loop looks for what was erased."""
BATCH_SIZE: Final = 200
"""Erasures in one transaction."""

log = structlog.get_logger()


class AnnounceErasures:
    """One per process; several processes announce side by side without harm."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def run(self) -> None:
        """Announces until cancelled."""
        await repeat(self.announce, POLL_INTERVAL, "erasures_not_announced", batch_size=BATCH_SIZE)

    async def announce(self) -> int:
        """Announces a batch of erasures; returns how many."""
        async with self._transactions.begin() as transaction:
            found = await repository.take_unannounced_erasures(transaction.connection, BATCH_SIZE)
            for erasure in found:
                transaction.enqueue_event(publisher.case_erased(erasure))
        return len(found)

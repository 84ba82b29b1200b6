"""Proves every minute that no step is missed and that every step alerted a person; reports it outside the system."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from math import nan
from typing import Final

import structlog

from simpul_notify import repository
from simpul_notify.repository import reach
from simpul_notify.use_cases.metrics import (
    ANSWER_SECONDS,
    ARRIVAL_SECONDS,
    ESCALATIONS_LATE,
    ESCALATIONS_UNALERTED,
)
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions

AUDIT_INTERVAL: Final = timedelta(minutes=1)
MEASURED_PERIOD: Final = timedelta(hours=1)
"""The messages by which it is measured how soon people are reached."""

log = structlog.get_logger()


class AuditAlerts:
    """Looks for what the other loops should have done; finds also that they do not run at all."""

    def __init__(self, transactions: Transactions, send_heartbeat: Callable[[], Awaitable[None]]) -> None:
        """`send_heartbeat` informs somebody outside that the last minute was right; its absence is their alarm."""
        self._transactions = transactions
        self._send_heartbeat = send_heartbeat
        self._problems: list[str] = []

    def find_warnings(self) -> list[str]:
        """Finds what the last audit found."""
        return self._problems

    async def run(self) -> None:
        """Audits until cancelled."""
        # Without an audit there is no heartbeat either.
        await repeat(self.audit, AUDIT_INTERVAL, "alert_audit_failed")

    async def audit(self) -> None:
        """Counts missed steps and steps that alerted nobody; sends the heartbeat when there are none."""
        async with self._transactions.begin() as transaction:
            found = await repository.count_missed_escalations(transaction)
            measured = await reach.measure_reach(transaction, transaction.now - MEASURED_PERIOD)
        for provider, (arrival, answer) in measured.items():
            # Without a report or an answer nothing is known, which is not 0.
            ARRIVAL_SECONDS.labels(provider).set(nan if arrival is None else arrival)
            ANSWER_SECONDS.labels(provider).set(nan if answer is None else answer)
        ESCALATIONS_LATE.set(found.late)
        ESCALATIONS_UNALERTED.set(found.unalerted)
        self._problems = []
        if found.late:
            log.error("escalation_late", count=found.late)
            self._problems.append(f"{found.late} alerts are past their next step")
        if found.unalerted:
            log.error("nobody_alerted", count=found.unalerted)
            self._problems.append(f"{found.unalerted} alerts have reached nobody yet")
        if not self._problems:
            await self._send_heartbeat()

"""Compares services again and again, publishes again what a receiver lacks, and raises an alarm."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from simpul_cli.reconciliation import GRACE, find_missing
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY

FIRST_PERIOD: Final = timedelta(days=31)
"""What the first comparison covers."""
PERIOD: Final = timedelta(days=2)
"""What each later one covers: more than the time for which this process may be away unnoticed."""
EVENTS_MISSING: Final = Gauge(
    "simpul_events_missing", "Published events that a receiver lacked at the last comparison", registry=REGISTRY
)
EVENTS_RESENT: Final = Counter(
    "simpul_events_resent", "Events published again because a receiver lacked them", registry=REGISTRY
)
RECONCILED_AT: Final = Gauge(
    "simpul_reconciled_timestamp_seconds", "When all services were last compared", registry=REGISTRY
)

log = structlog.get_logger()


class ReconciliationWatch:
    """Compares the services of one city."""

    def __init__(self, databases: Mapping[str, str], city_code: str, *, repair: bool) -> None:
        self._databases = databases
        self._city_code = city_code
        self._repair = repair
        self._period = FIRST_PERIOD

    async def run(self, interval: timedelta) -> None:
        """Compares until cancelled; a database that does not answer is read at the next turn."""
        while True:
            try:
                await self.compare(utc_now())
            except (OSError, TimeoutError, asyncpg.PostgresError) as error:
                log.warning("not_reconciled", error=type(error).__name__)
            await asyncio.sleep(interval.total_seconds())

    async def compare(self, now: datetime) -> int:
        """Compares once; returns how many events were missing."""
        found = await find_missing(
            self._databases, self._city_code, since=now - self._period, before=now - GRACE, repair=self._repair
        )
        for one in found:
            log.error("events_missing", source=one.sender, party=one.receiver, type=one.wire_name, count=one.count)
        count = sum(one.count for one in found)
        EVENTS_MISSING.set(count)
        if self._repair:
            EVENTS_RESENT.inc(count)
        RECONCILED_AT.set(now.timestamp())
        self._period = PERIOD
        return count

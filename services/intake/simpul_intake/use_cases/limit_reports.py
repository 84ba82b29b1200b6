"""Limits the reports that one address or one complaint centre sends in an hour; never one of a child in danger."""

import asyncio
import hmac
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import prometheus_client
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_intake import repository
from simpul_intake.domain import Report
from simpul_intake.errors import TooManyReports
from simpul_intake.networks import network_of
from simpul_intake.proof_of_work import is_proven
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_runtime.batching import Batcher
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.supervision import repeat

PERIOD: Final = timedelta(hours=1)
COUNT_TIMEOUT: Final = timedelta(milliseconds=900)
"""A count that takes longer is given up, and the report is taken: storing it needs the rest of a request's time."""
PROVEN_FACTOR: Final = 10
"""How many times as many reports with a proof of work come from one address: many people share a mobile network's."""
OVER_LIMIT: Final = prometheus_client.Counter(
    "simpul_reports_over_limit", "Reports beyond the limit of their sender", ["outcome"], registry=REGISTRY
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a report comes from."""

    address: str
    centre: str = ""
    """The complaint centre that has proven itself; empty for a stranger."""
    proof: str = ""
    """The proof of work of the form; empty without one."""


class LimitReports:
    """Counts reports by sender and hour in the database, so that all processes count together.

    A sender is stored as a keyed digest with a key of the day, which is derived from the vault's secrets: a copy of the
    database names no address. Counts are deleted after an hour.
    """

    def __init__(self, engine: AsyncEngine, secrets: VaultSecrets, *, per_address: int, per_centre: int) -> None:
        """Limits of 0 limit nothing."""
        self._engine = engine
        self._secrets = secrets
        self._per_address = per_address
        self._per_centre = per_centre
        self._batcher: Batcher[str, int] = Batcher("report_counts", self._count_batch, attempts=1)
        self._taken_over_limit: deque[datetime] = deque(maxlen=10_000)

        self.run = self._batcher.run

    async def admit(self, report: Report, sender: Sender) -> None:
        """Raises TooManyReports for a report that can wait and whose sender has sent too many in this hour.

        Admits every report whose child may be in danger. A report with a proof of work has a higher limit and a count
        of its own. What a centre sends again is not counted: it may send its whole table each hour.
        """
        limit = self._per_centre if sender.centre else self._per_address
        if not limit:
            return
        # Reports of danger have a count of their own, so that they use up nothing of the others.
        kind = "report" if report.may_wait else "danger"
        if not sender.centre and is_proven(report.report_id, sender.proof):
            kind, limit = f"proven {kind}", limit * PROVEN_FACTOR
        name = f"centre {sender.centre}" if sender.centre else f"address {network_of(sender.address)}"
        if await self._count(f"{kind} {name}", report, sender) <= limit:
            return
        if report.may_wait:
            if await self._is_stored(report):
                # Sent again by somebody who got no answer: it gets the same receipt.
                return
            OVER_LIMIT.labels("refused").inc()
            now = utc_now()
            raise TooManyReports(_hour_of(now) + PERIOD - now)
        OVER_LIMIT.labels("taken").inc()
        self._taken_over_limit.append(utc_now())

    def find_warnings(self) -> list[str]:
        """Finds reports of the last hour that were taken beyond their sender's limit, because of a child in danger."""
        since = utc_now() - PERIOD
        while self._taken_over_limit and self._taken_over_limit[0] < since:
            self._taken_over_limit.popleft()
        if not self._taken_over_limit:
            return []
        count = len(self._taken_over_limit)
        return [f"reports: {count} of the last hour came beyond the limit of their sender, for a child in danger"]

    async def _is_stored(self, report: Report) -> bool:
        async with self._engine.connect() as connection:
            return await repository.find_case_of_report(connection, report.report_id) is not None

    async def _count(self, name: str, report: Report, sender: Sender) -> int:
        """Counts a report; returns how many there are in this hour, and 0 for one that is not counted."""
        try:
            async with asyncio.timeout(COUNT_TIMEOUT.total_seconds()):
                if sender.centre and await self._is_stored(report):
                    return 0
                return await self._batcher.submit(name)
        except Exception as error:
            log.warning("report_not_counted", exc_info=error)
            return 0

    async def _count_batch(self, names: Sequence[str]) -> Sequence[int]:
        secrets = await self._secrets.load()
        hour = _hour_of(utc_now())
        key_of_day = secrets.compute_mac(f"report limits of {hour.date()}".encode())
        senders = [hmac.digest(key_of_day, name.encode(), "sha256")[:16] for name in names]
        async with self._engine.begin() as connection:
            counts = await repository.add_report_counts(connection, hour, Counter(senders))
        numbers = []
        for sender in reversed(senders):
            numbers.append(counts[sender])
            counts[sender] -= 1
        return numbers[::-1]

    async def delete_expired(self) -> None:
        """Deletes the counts of earlier hours, until cancelled."""
        await repeat(self._delete_earlier, PERIOD / 4, "report_counts_not_deleted")

    async def _delete_earlier(self) -> None:
        async with self._engine.begin() as connection:
            await repository.delete_report_counts(connection, _hour_of(utc_now()))


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

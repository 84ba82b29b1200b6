"""Recorded alerts reach their people, each by itself, until nobody needs them any more."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_notify import publisher, repository
from simpul_notify.channels import Channel
from simpul_notify.domain import (
    MOST_ATTEMPTS_COUNTED,
    Alert,
    AlertState,
    Outcome,
    ProviderHealth,
    Roster,
    fate_of,
    other_ways,
    wait_after,
)
from simpul_notify.repository import Fate
from simpul_notify.texts import Texts
from simpul_notify.use_cases.measures import (
    ALERTS_FAILED,
    ALERTS_OLDEST,
    ALERTS_SENT,
    ALERTS_SUPPRESSED,
    ALERTS_WAITING,
)
from simpul_runtime.batching import Batcher
from simpul_runtime.database import utc_now
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.vocabulary import AlertChannel, AlertFailure

LEASE: Final = timedelta(seconds=30)
"""How long an alert belongs to the process that recorded or took it."""
FRESH: Final = timedelta(seconds=1)
"""How long after that an alert is sent without asking again whether somebody needs it."""
SWEEP: Final = 1.0
"""Seconds between looks at what is due again."""
MEASURE: Final = 5.0
"""Seconds between counts of what waits."""
MOST: Final = 250
"""Alerts of one channel under way in one process; the table holds the others."""
AHEAD: Final = 100
"""Alerts under way before the next referrals are taken from the queue."""
TAKE: Final = 100
"""Due alerts taken in one sweep."""
PAUSE: Final = 0.25
"""Seconds that wait may last: a provider that hangs must not hold up the alerts of another."""
REFUSING_LIMIT: Final = timedelta(minutes=2)
"""How long a provider may refuse everything before the service calls itself not ready."""
URGENT_LIMIT: Final = timedelta(minutes=5)
"""How long an urgent alert may wait before the service calls itself not ready."""

log = structlog.get_logger()


class SendAlerts:
    """Sends recorded alerts, each by itself, and writes their fates in batches."""

    def __init__(
        self,
        transactions: Transactions,
        roster: Roster,
        texts: Texts,
        channels: Mapping[AlertChannel, Channel],
        retry_first: timedelta,
        concurrency: int,
    ) -> None:
        self._transactions = transactions
        self._roster = roster
        self._texts = texts
        self._channels = channels
        self._retry_first = retry_first
        # One limit for each channel: a provider that hangs holds up only its own.
        self._limits = {channel: asyncio.Semaphore(concurrency) for channel in channels}
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._busy: Counter[AlertChannel] = Counter()
        self._one_ended = asyncio.Event()
        self._fates: Batcher[tuple[Alert, Outcome], None] = Batcher("fates", self._record)
        self._renewals: Batcher[Alert, Alert | None] = Batcher("renewals", self._renew)
        self._health = ProviderHealth()
        self._oldest_urgent: dict[str, float] = {}
        self._has_taken_over = False

    def send_soon(self, alert: Alert) -> None:
        """Send an alert; one that is under way is left alone, and when too many are the sweep takes it later."""
        if alert.alert_id not in self._under_way and self._busy[alert.channel] < MOST:
            task = asyncio.create_task(self._send(alert))
            self._under_way[alert.alert_id] = task
            self._busy[alert.channel] += 1
            task.add_done_callback(partial(self._ended, alert))

    def _ended(self, alert: Alert, task: "asyncio.Task[None]") -> None:
        self._under_way.pop(alert.alert_id, None)
        self._busy[alert.channel] -= 1
        self._one_ended.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("alert_stranded", alert_id=alert.alert_id, exc_info=error)

    async def has_room(self) -> None:
        """Return when few alerts are under way, or after a pause: what waits in the broker costs no memory here."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                while len(self._under_way) > AHEAD:
                    self._one_ended.clear()
                    await self._one_ended.wait()

    async def run(self) -> None:
        """Write fates and sweep until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fates.run())
                tasks.create_task(self._renewals.run())
                tasks.create_task(self._keep_sweeping())
                tasks.create_task(self._keep_measuring())
        finally:
            for channel in self._channels.values():
                await channel.close()

    def troubles(self) -> list[str]:
        """Why alerts do not reach people; the service goes on consuming and trying all the same."""
        refusing = [
            f"{channel.value}: the provider has refused everything for {_minutes(since)} minutes"
            for channel, since in self._health.refusing(utc_now()).items()
            if since > REFUSING_LIMIT
        ]
        waiting = [
            f"{channel}: an urgent alert has waited for {_minutes(timedelta(seconds=age))} minutes"
            for channel, age in self._oldest_urgent.items()
            if age > URGENT_LIMIT.total_seconds()
        ]
        return refusing + waiting

    async def _send(self, alert: Alert) -> None:
        async with self._limits[alert.channel]:
            if alert.leased_until is None or utc_now() > alert.leased_until - LEASE + FRESH:
                # It waited for its turn: meanwhile it may have been answered, or another process may have it.
                renewed = await self._renewals.submit(alert)
                if renewed is None:
                    return
                alert = renewed
            outcome = await self._attempt(alert)
        self._health.note(alert.channel, outcome, utc_now())
        attempts = min(alert.attempts + 1, MOST_ATTEMPTS_COUNTED)
        await self._fates.submit((replace(alert, attempts=attempts), outcome))

    async def _attempt(self, alert: Alert) -> Outcome:
        contact = self._roster.contacts.get(alert.contact)
        address = contact.addresses.get(alert.channel) if contact else None
        if contact is None or address is None:
            # The person left the roster between two attempts.
            return Outcome.NO_ADDRESS
        try:
            return await self._channels[alert.channel].send(address, self._texts.render(alert, contact.language))
        except Exception as error:
            # A fault of ours must not strand the alert: it counts as an attempt and is made again.
            log.error("channel_failed", channel=alert.channel, alert_id=alert.alert_id, exc_info=error)
            return Outcome.UNKNOWN

    async def _renew(self, alerts: Sequence[Alert]) -> list[Alert | Exception | None]:
        async with self._transactions.begin() as transaction:
            renewed = await repository.renew_leases(transaction, alerts, LEASE)
        return [renewed.get(alert.alert_id) for alert in alerts]

    async def _record(self, attempts: Sequence[tuple[Alert, Outcome]]) -> list[Exception | None]:
        async with self._transactions.begin() as transaction:
            fates = [self._fate(transaction, alert, outcome) for alert, outcome in attempts]
            fresh = await repository.settle(transaction, fates)
            failed = [fate.alert for fate in fates if fate.alert.alert_id in fresh and fate.state is AlertState.FAILED]
            for fate in fates:
                if fate.alert.alert_id in fresh:
                    _announce(transaction, fate)
            if failed:
                await self._go_on_otherwise(transaction, failed)
        return [None] * len(attempts)

    def _fate(self, transaction: Transaction, alert: Alert, outcome: Outcome) -> Fate:
        # What became unneeded during the attempt is suppressed in the table already, and stays so.
        state = fate_of(outcome)
        due_at = transaction.now
        reason = None
        if state is AlertState.FAILED:
            left = outcome is Outcome.NO_ADDRESS
            reason = (AlertFailure.NOBODY_ON_DUTY if left else AlertFailure.REJECTED).value
        elif state is AlertState.PENDING:
            log.warning("alert_deferred", alert_id=alert.alert_id, channel=alert.channel, attempts=alert.attempts)
            due_at += wait_after(alert.attempts, self._retry_first, alert.urgency)
        return Fate(alert, state, due_at, reason)

    async def _go_on_otherwise(self, transaction: Transaction, failed: Sequence[Alert]) -> None:
        """Alert the same party by ways that were not tried yet."""
        others = [
            replace(alert, alert_id=uuid4(), contact=contact.reference, channel=channel, attempts=0)
            for alert in failed
            for contact, channel in other_ways(alert, self._roster)
        ]
        if others:
            send, _ = await repository.add_alerts(transaction, others, LEASE)
            transaction.after_commit += [partial(self.send_soon, alert) for alert in send]

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self._take_over_once()
                await self._sweep()
            except Exception as error:
                log.warning("sweep_failed", exc_info=error)
            await asyncio.sleep(SWEEP)

    async def _take_over_once(self) -> None:
        """What an earlier process left untried is due at once; the database may be away when this one starts."""
        if not self._has_taken_over:
            async with self._transactions.begin() as transaction:
                await repository.take_over(transaction)
            self._has_taken_over = True

    async def _sweep(self) -> None:
        # A provider that hangs with all it may hold must not hold up the alerts of another.
        full = [channel.value for channel in AlertChannel if self._busy[channel] >= MOST]
        async with self._transactions.begin() as transaction:
            due = await repository.take_due(transaction, full, TAKE, LEASE)
            if due.unreadable:
                await repository.fail_unreadable(transaction, due.unreadable)
        for alert in due.alerts:
            self.send_soon(alert)
        for alert_id, reason in due.suppressed.items():
            log.info("alert_suppressed", alert_id=alert_id, reason=reason)
            ALERTS_SUPPRESSED.labels(reason).inc()
        for alert_id in due.unreadable:
            log.error("alert_unreadable", alert_id=alert_id)
            ALERTS_FAILED.labels("unknown", "unreadable").inc()

    async def _keep_measuring(self) -> None:
        while True:
            try:
                await self._measure()
            except Exception as error:
                log.warning("measure_failed", exc_info=error)
            await asyncio.sleep(MEASURE)

    async def _measure(self) -> None:
        async with self._transactions.begin() as transaction:
            waiting = {found.channel: found for found in await repository.waiting(transaction)}
        for channel in AlertChannel:
            found = waiting.get(channel.value)
            ALERTS_WAITING.labels(channel.value).set(found.count if found else 0)
            ALERTS_OLDEST.labels(channel.value).set(found.oldest if found else 0)
            if found is None:
                self._health.forget(channel)
        self._oldest_urgent = {channel: found.oldest_urgent for channel, found in waiting.items()}


def _announce(transaction: Transaction, fate: Fate) -> None:
    alert = fate.alert
    match fate.state:
        case AlertState.SENT:
            transaction.announce(publisher.alert_sent(alert))
            transaction.after_commit.append(ALERTS_SENT.labels(alert.channel.value).inc)
        case AlertState.FAILED:
            reason = AlertFailure(fate.reason or AlertFailure.REJECTED)
            log.error("alert_failed", alert_id=alert.alert_id, channel=alert.channel, reason=reason.value)
            transaction.announce(publisher.alert_failed(alert, reason))
            transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)
        case AlertState.PENDING | AlertState.SUPPRESSED:
            pass


def _minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)

"""Sends recorded alerts and repeats failed attempts until an alert is sent, fails permanently or is unnecessary."""

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
    MAX_COUNTED_ATTEMPTS,
    Alert,
    AlertState,
    Outcome,
    ProviderHealth,
    Roster,
    remaining_contact_methods,
    retry_delay,
    state_after_attempt,
)
from simpul_notify.repository import AttemptResult
from simpul_notify.texts import AlertTexts
from simpul_notify.use_cases.metrics import (
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
"""How long an alert belongs to the process that recorded or claimed it."""
FRESH_LEASE_AGE: Final = timedelta(seconds=1)
"""Up to this age of its lease an alert is sent without checking again whether it is needed."""
SWEEP_INTERVAL: Final = timedelta(seconds=1)
"""Time between searches for due alerts."""
MEASURE_INTERVAL: Final = timedelta(seconds=5)
"""Time between measurements of pending alerts."""
MAX_IN_FLIGHT_PER_CHANNEL: Final = 250
"""Concurrent alerts of one channel in one process; further alerts wait in the table."""
HIGH_WATERMARK: Final = 100
"""Number of alerts in flight above which no further messages are consumed."""
SWEEP_BATCH_SIZE: Final = 100
"""Maximum number of due alerts claimed by one sweep."""
MAX_CAPACITY_WAIT: Final = timedelta(milliseconds=250)
"""Longest pause of the consumer; a hanging provider must not delay the alerts of another one."""
PROVIDER_ALARM_AFTER: Final = timedelta(minutes=2)
"""The service reports itself not ready when a provider has accepted nothing for this long."""
URGENT_ALERT_ALARM_AFTER: Final = timedelta(minutes=5)
"""The service reports itself not ready when an urgent alert has been pending for this long."""

log = structlog.get_logger()


class SendAlerts:
    """Sends each alert independently of the others and stores the results in batches."""

    def __init__(
        self,
        transactions: Transactions,
        roster: Roster,
        texts: AlertTexts,
        channels: Mapping[AlertChannel, Channel],
        first_retry_delay: timedelta,
        concurrency: int,
    ) -> None:
        self._transactions = transactions
        self._roster = roster
        self._texts = texts
        self._channels = channels
        self._first_retry_delay = first_retry_delay
        # One limit per channel, so that a hanging provider delays its own alerts only.
        self._limits = {channel: asyncio.Semaphore(concurrency) for channel in channels}
        self._in_flight: dict[UUID, asyncio.Task[None]] = {}
        self._in_flight_per_channel: Counter[AlertChannel] = Counter()
        self._send_finished = asyncio.Event()
        self._results: Batcher[tuple[Alert, Outcome], None] = Batcher("results", self._record_results)
        self._renewals: Batcher[Alert, Alert | None] = Batcher("renewals", self._renew_leases)
        self._health = ProviderHealth()
        self._oldest_urgent: dict[str, float] = {}
        self._has_released_untried = False

    def schedule_send(self, alert: Alert) -> None:
        """Starts sending an alert unless it is in flight; above the limit it is left to the sweep."""
        if (
            alert.alert_id not in self._in_flight
            and self._in_flight_per_channel[alert.channel] < MAX_IN_FLIGHT_PER_CHANNEL
        ):
            task = asyncio.create_task(self._send(alert))
            self._in_flight[alert.alert_id] = task
            self._in_flight_per_channel[alert.channel] += 1
            task.add_done_callback(partial(self._finish_send, alert))

    def _finish_send(self, alert: Alert, task: "asyncio.Task[None]") -> None:
        self._in_flight.pop(alert.alert_id, None)
        self._in_flight_per_channel[alert.channel] -= 1
        self._send_finished.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("alert_send_crashed", alert_id=alert.alert_id, exc_info=error)

    async def wait_for_capacity(self) -> None:
        """Waits until few alerts are in flight, but not longer than MAX_CAPACITY_WAIT."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CAPACITY_WAIT.total_seconds()):
                while len(self._in_flight) > HIGH_WATERMARK:
                    self._send_finished.clear()
                    await self._send_finished.wait()

    async def run(self) -> None:
        """Stores results, sweeps and measures until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._results.run())
                tasks.create_task(self._renewals.run())
                tasks.create_task(self._sweep_forever())
                tasks.create_task(self._measure_forever())
        finally:
            for channel in self._channels.values():
                await channel.close()

    def readiness_problems(self) -> list[str]:
        """Describes why alerts do not reach responders; consuming and sending continue."""
        outages = [
            f"{channel.value}: the provider has accepted nothing for {_minutes(duration)} minutes"
            for channel, duration in self._health.outage_durations(utc_now()).items()
            if duration > PROVIDER_ALARM_AFTER
        ]
        backlogs = [
            f"{channel}: an urgent alert has been pending for {_minutes(timedelta(seconds=age))} minutes"
            for channel, age in self._oldest_urgent.items()
            if age > URGENT_ALERT_ALARM_AFTER.total_seconds()
        ]
        return outages + backlogs

    async def _send(self, alert: Alert) -> None:
        async with self._limits[alert.channel]:
            if alert.leased_until is None or utc_now() > alert.leased_until - LEASE + FRESH_LEASE_AGE:
                # While it waited for the semaphore it may have become unnecessary or another process's.
                renewed = await self._renewals.submit(alert)
                if renewed is None:
                    return
                alert = renewed
            outcome = await self._attempt_send(alert)
        self._health.record_outcome(alert.channel, outcome, utc_now())
        attempts = min(alert.attempts + 1, MAX_COUNTED_ATTEMPTS)
        await self._results.submit((replace(alert, attempts=attempts), outcome))

    async def _attempt_send(self, alert: Alert) -> Outcome:
        responder = self._roster.responders.get(alert.responder)
        address = responder.contact_methods.get(alert.channel) if responder else None
        if responder is None or address is None:
            # The roster changed between two attempts.
            return Outcome.NO_ADDRESS
        try:
            return await self._channels[alert.channel].send(
                address, self._texts.render_alert(alert, responder.language)
            )
        except Exception as error:
            # A defect in a channel must not lose the alert: it counts as an attempt, and another one follows.
            log.error("channel_failed", channel=alert.channel, alert_id=alert.alert_id, exc_info=error)
            return Outcome.UNKNOWN

    async def _renew_leases(self, alerts: Sequence[Alert]) -> list[Alert | Exception | None]:
        async with self._transactions.begin() as transaction:
            renewed = await repository.renew_leases(transaction, alerts, LEASE)
        return [renewed.get(alert.alert_id) for alert in alerts]

    async def _record_results(self, attempts: Sequence[tuple[Alert, Outcome]]) -> list[Exception | None]:
        async with self._transactions.begin() as transaction:
            results = [self._result_of(transaction, alert, outcome) for alert, outcome in attempts]
            changed = await repository.record_results(transaction, results)
            failed = [
                result.alert
                for result in results
                if result.alert.alert_id in changed and result.state is AlertState.FAILED
            ]
            for result in results:
                if result.alert.alert_id in changed:
                    _publish_result(transaction, result)
            if failed:
                await self._alert_by_remaining_methods(transaction, failed)
        return [None] * len(attempts)

    def _result_of(self, transaction: Transaction, alert: Alert, outcome: Outcome) -> AttemptResult:
        # An alert that became unnecessary during the attempt is already suppressed in the table and stays so.
        state = state_after_attempt(outcome)
        due_at = transaction.now
        reason = None
        if state is AlertState.FAILED:
            is_off_duty = outcome is Outcome.NO_ADDRESS
            reason = (AlertFailure.NOBODY_ON_DUTY if is_off_duty else AlertFailure.REJECTED).value
        elif state is AlertState.PENDING:
            log.warning("alert_deferred", alert_id=alert.alert_id, channel=alert.channel, attempts=alert.attempts)
            due_at += retry_delay(alert.attempts, self._first_retry_delay, alert.urgency)
        return AttemptResult(alert, state, due_at, reason)

    async def _alert_by_remaining_methods(self, transaction: Transaction, failed: Sequence[Alert]) -> None:
        """Alerts the parties of failed alerts by their remaining contact methods."""
        others = [
            replace(alert, alert_id=uuid4(), responder=responder.reference, channel=channel, attempts=0)
            for alert in failed
            for responder, channel in remaining_contact_methods(alert, self._roster)
        ]
        if others:
            send, _ = await repository.add_alerts(transaction, others, LEASE)
            transaction.after_commit += [partial(self.schedule_send, alert) for alert in send]

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self._release_untried_alerts()
                await self._sweep()
            except Exception as error:
                log.warning("sweep_failed", exc_info=error)
            await asyncio.sleep(SWEEP_INTERVAL.total_seconds())

    async def _release_untried_alerts(self) -> None:
        """Makes alerts due that a stopped process did not attempt; repeated until the database is reachable once."""
        if not self._has_released_untried:
            async with self._transactions.begin() as transaction:
                await repository.release_untried_alerts(transaction)
            self._has_released_untried = True

    async def _sweep(self) -> None:
        # A channel at its limit is skipped, so that a hanging provider does not delay the alerts of another one.
        full = [
            channel.value
            for channel in AlertChannel
            if self._in_flight_per_channel[channel] >= MAX_IN_FLIGHT_PER_CHANNEL
        ]
        async with self._transactions.begin() as transaction:
            due = await repository.claim_due_alerts(transaction, full, SWEEP_BATCH_SIZE, LEASE)
            if due.unreadable:
                await repository.fail_unreadable_alerts(transaction, due.unreadable)
        for alert in due.alerts:
            self.schedule_send(alert)
        for alert_id, reason in due.suppressed.items():
            log.info("alert_suppressed", alert_id=alert_id, reason=reason)
            ALERTS_SUPPRESSED.labels(reason).inc()
        for alert_id in due.unreadable:
            log.error("alert_unreadable", alert_id=alert_id)
            ALERTS_FAILED.labels("unknown", "unreadable").inc()

    async def _measure_forever(self) -> None:
        while True:
            try:
                await self._measure()
            except Exception as error:
                log.warning("measure_failed", exc_info=error)
            await asyncio.sleep(MEASURE_INTERVAL.total_seconds())

    async def _measure(self) -> None:
        async with self._transactions.begin() as transaction:
            backlogs = {backlog.channel: backlog for backlog in await repository.measure_backlogs(transaction)}
        for channel in AlertChannel:
            backlog = backlogs.get(channel.value)
            ALERTS_WAITING.labels(channel.value).set(backlog.count if backlog else 0)
            ALERTS_OLDEST.labels(channel.value).set(backlog.oldest if backlog else 0)
            if backlog is None:
                self._health.forget_channel(channel)
        self._oldest_urgent = {channel: backlog.oldest_urgent for channel, backlog in backlogs.items()}


def _publish_result(transaction: Transaction, result: AttemptResult) -> None:
    alert = result.alert
    match result.state:
        case AlertState.SENT:
            transaction.announce(publisher.alert_sent(alert))
            transaction.after_commit.append(ALERTS_SENT.labels(alert.channel.value).inc)
        case AlertState.FAILED:
            reason = AlertFailure(result.reason or AlertFailure.REJECTED)
            log.error("alert_failed", alert_id=alert.alert_id, channel=alert.channel, reason=reason.value)
            transaction.announce(publisher.alert_failed(alert, reason))
            transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)
        case AlertState.PENDING | AlertState.SUPPRESSED:
            pass


def _minutes(duration: timedelta) -> int:
    return int(duration.total_seconds() // 60)

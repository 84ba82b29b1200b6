"""Sends recorded alerts and repeats failed attempts until an alert is sent, fails permanently or is unnecessary."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_notify import publisher, repository
from simpul_notify.domain.alerts import (
    MAX_COUNTED_ATTEMPTS,
    Alert,
    AlertState,
    ChannelHealth,
    Outcome,
    retry_delay,
    state_after_attempt,
)
from simpul_notify.domain.contact_rules import LIMIT_PERIOD
from simpul_notify.domain.deliveries import Attempt, Problem
from simpul_notify.domain.links import ALPHABET, TOKEN_LENGTH, token_for, token_from
from simpul_notify.domain.notifications import Notification
from simpul_notify.domain.provider_health import REPORTS_DUE_AFTER
from simpul_notify.domain.responders import CHANNELS, Recipient, Roster
from simpul_notify.repository import AttemptResult, deliveries
from simpul_notify.texts import AlertTexts
from simpul_notify.use_cases.dispatch import Dispatch, Dispatched, Message
from simpul_notify.use_cases.metrics import (
    ALERTS_FAILED,
    ALERTS_OLDEST,
    ALERTS_SENT,
    ALERTS_SUPPRESSED,
    ALERTS_WAITING,
    MESSAGES_SENT,
)
from simpul_notify.use_cases.recipient_queue import RecipientQueue
from simpul_runtime.batching import Batcher
from simpul_runtime.database import utc_now
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.vocabulary import AlertChannel, AlertFailure

LEASE_MARGIN: Final = timedelta(seconds=5)
"""An alert belongs to the process that sends it for this much longer than an attempt may take."""
SWEEP_INTERVAL: Final = timedelta(seconds=1)
"""Time between searches for due alerts."""
MEASURE_INTERVAL: Final = timedelta(seconds=5)
"""Time between measurements of pending alerts."""
PROVIDER_ALARM_AFTER: Final = timedelta(minutes=2)
"""The service reports itself not ready when a provider has accepted nothing for this long."""
URGENT_ALERT_ALARM_AFTER: Final = timedelta(minutes=5)
"""The service reports itself not ready when an urgent alert has been pending for this long."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Claim:
    """A message to send, and when the same person or number got the last ones."""

    notification: Notification
    recent: Sequence[datetime]


class SendAlerts:
    """Sends one message at a time to each recipient, with all that waits for this recipient."""

    def __init__(
        self,
        transactions: Transactions,
        roster: Callable[[], Roster],
        texts: AlertTexts,
        dispatch: Dispatch,
        first_retry_delay: timedelta,
        pause: timedelta = timedelta(),
    ) -> None:
        """`pause` separates two messages to the same recipient of which the first was urgent."""
        self._transactions = transactions
        self._roster = roster
        self._texts = texts
        self._dispatch = dispatch
        self._first_retry_delay = first_retry_delay
        self._pause = pause
        self._lease = dispatch.longest_attempt + LEASE_MARGIN
        # One queue with workers of its own per channel, so that a hanging provider delays its own messages only.
        self._queues: dict[AlertChannel, RecipientQueue[Recipient]] = {
            channel: RecipientQueue() for channel in dispatch.channels
        }
        self._claims: Batcher[Recipient, _Claim | None] = Batcher("claims", self._claim)
        self._results: Batcher[tuple[Notification, Dispatched], None] = Batcher("results", self._record_results)
        self._health = ChannelHealth()
        self._oldest_urgent: dict[str, float] = {}

    def wake(self, recipient: Recipient, is_urgent: bool) -> None:
        """Queues a recipient for whom something is due; without a provider for the channel, nothing leaves by it."""
        if recipient.channel in self._queues:
            self._queues[recipient.channel].put(recipient, is_urgent)

    async def run(self) -> None:
        """Sends, stores results, sweeps and measures until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._claims.run())
                tasks.create_task(self._results.run())
                tasks.create_task(self._sweep_forever())
                tasks.create_task(self._measure_forever())
                for channel in self._dispatch.channels:
                    for _ in range(self._dispatch.concurrency(channel)):
                        tasks.create_task(self._work(channel))
        finally:
            await self._dispatch.close()

    def readiness_problems(self) -> list[str]:
        """Describes why alerts do not reach responders; consuming and sending continue."""
        outages = [
            f"{channel.value}: no provider has accepted anything for {_minutes(duration)} minutes"
            for channel, duration in self._health.outage_durations(utc_now()).items()
            if duration > PROVIDER_ALARM_AFTER
        ]
        backlogs = [
            f"{channel}: an urgent alert has been pending for {_minutes(timedelta(seconds=age))} minutes"
            for channel, age in self._oldest_urgent.items()
            if age > URGENT_ALERT_ALARM_AFTER.total_seconds()
        ]
        return outages + backlogs

    async def _work(self, channel: AlertChannel) -> None:
        queue = self._queues[channel]
        while True:
            recipient = await queue.take()
            try:
                await self._send_next(recipient)
            except Exception as error:
                log.error("alert_send_crashed", channel=channel, exc_info=error)
            finally:
                queue.finish(recipient)

    async def _send_next(self, recipient: Recipient) -> None:
        """Sends one message with what is due and still needed, if anything is."""
        claim = await self._claims.submit(recipient)
        if claim is not None:
            dispatched = await self._attempt_send(claim)
            self._health.record_outcome(recipient.channel, dispatched.attempt.outcome, utc_now())
            await self._results.submit((claim.notification, dispatched))

    async def _attempt_send(self, claim: "_Claim") -> Dispatched:
        notification = claim.notification
        recipient = notification.recipient
        roster = self._roster()
        address = roster.address_of(recipient)
        if not address:
            # The roster changed between two attempts.
            return Dispatched(Attempt(Outcome.NO_ADDRESS))
        responder = roster.responders[recipient.responder]
        try:
            text = self._texts.render(notification, responder.language)
        except Exception as error:
            # A defect in a text must not lose an alert: it counts as an attempt, and another one follows.
            log.error("message_not_rendered", channel=recipient.channel, exc_info=error)
            return Dispatched(Attempt(Outcome.REJECTED_TEMPORARILY, Problem.DEFECT))
        return await self._dispatch.send(
            Message(
                notification.notification_id,
                recipient.channel,
                address,
                text,
                notification.urgency,
                notification.report_token,
                attempts=max(alert.attempts for alert in notification.alerts),
                safe_hours=responder.safe_hours,
                recent=claim.recent,
            )
        )

    async def _claim(self, recipients: Sequence[Recipient]) -> "list[_Claim | Exception | None]":
        async with self._transactions.begin() as transaction:
            claimed = await repository.claim_notifications(transaction, recipients, self._lease, self._pause)
            if claimed.unreadable:
                await repository.fail_unreadable_alerts(transaction, claimed.unreadable, CHANNELS)
            claims = await self._prepare_messages(transaction, list(claimed.notifications.values()))
        for alert_id, reason in claimed.suppressed.items():
            log.info("alert_suppressed", alert_id=alert_id, reason=reason)
            ALERTS_SUPPRESSED.labels(reason).inc()
        for alert_id in claimed.unreadable:
            _report_unreadable(alert_id)
        return [claims.get(recipient) for recipient in recipients]

    async def _prepare_messages(
        self, transaction: Transaction, notifications: Sequence[Notification]
    ) -> "dict[Recipient, _Claim]":
        """Gives messages their tokens, stores them, and finds what the same people and numbers got lately."""
        if not notifications:
            return {}
        people = self._roster().responders
        prepared = [
            replace(
                each,
                report_token=token_from(_draw()),
                link_token=token_for(
                    person.language if (person := people.get(each.recipient.responder)) else "", _draw
                ),
                address_digest=self._roster().digest_of(each.recipient),
            )
            for each in notifications
        ]
        await deliveries.add_notifications(transaction, prepared)
        sharing = self._roster().find_sharing([each.recipient for each in prepared])
        everybody = sorted({responder for shared in sharing.values() for responder in shared})
        recent = await deliveries.find_recent_messages(transaction, everybody, transaction.now - LIMIT_PERIOD)
        return {
            each.recipient: _Claim(each, [at for one in sharing[each.recipient] for at in recent.get(one, ())])
            for each in prepared
        }

    async def _record_results(self, attempts: Sequence[tuple[Notification, Dispatched]]) -> list[Exception | None]:
        async with self._transactions.begin() as transaction:
            # Before the alerts, in the order in which reports lock the same rows.
            await deliveries.record_deliveries(
                transaction,
                [deliveries.Sent(each.notification_id, done.provider, done.attempt) for each, done in attempts],
            )
            results = [
                self._result_of(transaction, notification, alert, dispatched)
                for notification, dispatched in attempts
                for alert in notification.alerts
            ]
            changed = await repository.record_results(transaction, results)
            recorded = [result for result in results if result.alert.alert_id in changed]
            for result in recorded:
                _publish_result(transaction, result)
            sent = {r.alert.alert_id: r.alert.cause for r in recorded if r.state is AlertState.SENT}
            if sent:
                await repository.record_alerted(transaction, sent)
            failed = [result.alert for result in recorded if result.state is AlertState.FAILED]
            if failed:
                await self._hurry_escalations(transaction, failed)
            postponed = {each.notification_id for each, done in attempts if done.attempt.outcome is Outcome.POSTPONED}
            deferred = [
                result.alert
                for result in recorded
                if result.state is AlertState.PENDING and result.notification_id not in postponed
            ]
            if deferred:
                await self._release_other_channels(transaction, deferred)
            withheld = [
                alert.cause
                for each, done in attempts
                if done.attempt.problem is Problem.OUTSIDE_SAFE_HOURS
                for alert in each.alerts
            ]
            if withheld:
                # Somebody else is alerted now. Too many messages to one person need no hurry: they are on the phone.
                await repository.hurry_escalations(transaction, withheld)
            accepted = [each for each, done in attempts if done.attempt.outcome is Outcome.ACCEPTED]
            for notification in accepted:
                transaction.after_commit.append(MESSAGES_SENT.labels(notification.recipient.channel.value).inc)
            # A report of failure may have come before the provider's answer.
            await self.fail_undelivered(transaction, [each.notification_id for each in accepted])
        return [None] * len(attempts)

    def _result_of(
        self, transaction: Transaction, notification: Notification, alert: Alert, dispatched: Dispatched
    ) -> AttemptResult:
        outcome = dispatched.attempt.outcome
        # An alert that became unnecessary during the attempt is already suppressed in the table and stays so.
        state = state_after_attempt(outcome)
        if outcome is Outcome.POSTPONED:
            not_before = dispatched.not_before or transaction.now
            return AttemptResult(alert, notification.notification_id, state, not_before, postponed_until=not_before)
        alert = replace(alert, attempts=min(alert.attempts + 1, MAX_COUNTED_ATTEMPTS))
        due_at = transaction.now
        reason = None
        if state is AlertState.FAILED:
            is_off_duty = outcome is Outcome.NO_ADDRESS and dispatched.attempt.problem is Problem.NONE
            reason = (AlertFailure.NOBODY_ON_DUTY if is_off_duty else AlertFailure.REJECTED).value
        elif state is AlertState.PENDING:
            log.warning(
                "alert_deferred",
                alert_id=alert.alert_id,
                channel=alert.channel,
                attempts=alert.attempts,
                reason=dispatched.attempt.problem,
            )
            due_at += retry_delay(alert.attempts, self._first_retry_delay, alert.urgency)
        return AttemptResult(alert, notification.notification_id, state, due_at, reason)

    async def _hurry_escalations(self, transaction: Transaction, failed: Sequence[Alert]) -> None:
        """Takes the next step of their escalations at once; what has none is sent by the remaining contact methods.

        Nothing follows where somebody has acknowledged it, or nobody needs it any more.
        """
        escalated = await repository.hurry_escalations(transaction, [alert.cause for alert in failed])
        ended = await repository.find_ended(transaction, [alert.alert_id for alert in failed])
        remaining = [alert for alert in failed if alert.cause not in escalated and alert.alert_id not in ended]
        await self._alert_by_remaining_methods(transaction, remaining)

    async def fail_undelivered(self, transaction: Transaction, notification_ids: Sequence[UUID]) -> None:
        """Fails the alerts of messages that every provider has given up, and alerts by other methods at once."""
        if not notification_ids:
            return
        failed = await deliveries.fail_undelivered_alerts(transaction, notification_ids)
        for alert in failed:
            _publish_failure(transaction, alert, AlertFailure.REJECTED)
        if failed:
            await self._hurry_escalations(transaction, failed)

    async def _alert_by_remaining_methods(self, transaction: Transaction, failed: Sequence[Alert]) -> None:
        """Alerts the parties of failed alerts by their remaining contact methods, at once."""
        others = [
            replace(
                alert,
                alert_id=uuid4(),
                responder=other.responder,
                channel=other.channel,
                position=other.position,
                attempts=0,
            )
            for alert in failed
            for other in self._roster().remaining_recipients(alert.recipient, alert.party, alert.urgency)
        ]
        if others:
            await repository.add_alerts(transaction, [(alert, timedelta()) for alert in others])
            self._wake_after_commit(transaction, {alert.recipient for alert in others})

    async def _release_other_channels(self, transaction: Transaction, deferred: Sequence[Alert]) -> None:
        """Sends at once by the other channels what a provider did not take; they would repeat it within a minute."""
        self._wake_after_commit(transaction, await repository.release_other_channels(transaction, deferred))

    def _wake_after_commit(self, transaction: Transaction, recipients: set[Recipient]) -> None:
        # What a provider refused has waited already, so its other ways are not queued behind anything.
        transaction.after_commit += [partial(self.wake, recipient, True) for recipient in recipients]

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self._sweep()
            except Exception as error:
                log.warning("alert_sweep_failed", exc_info=error)
            await asyncio.sleep(SWEEP_INTERVAL.total_seconds())

    async def _sweep(self) -> None:
        async with self._transactions.begin() as transaction:
            due = await repository.find_due_recipients(transaction)
            unreadable = await repository.fail_unreadable_alerts(transaction, (), self._dispatch.channels)
        for found in due:
            self.wake(found.recipient, found.is_urgent)
        for alert_id in unreadable:
            _report_unreadable(alert_id)

    async def _measure_forever(self) -> None:
        while True:
            try:
                await self._measure()
            except Exception as error:
                log.warning("alert_measurement_failed", exc_info=error)
            await asyncio.sleep(MEASURE_INTERVAL.total_seconds())

    async def _measure(self) -> None:
        async with self._transactions.begin() as transaction:
            backlogs = {backlog.channel: backlog for backlog in await repository.measure_backlogs(transaction)}
            due_until = transaction.now - REPORTS_DUE_AFTER
            statistics = await deliveries.measure_reports(transaction, due_until - REPORTS_DUE_AFTER, due_until)
        self._dispatch.record_statistics(statistics)
        for channel in CHANNELS:
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
            if alert.occasion.concerns_referral:
                transaction.enqueue_event(publisher.alert_sent(alert, result.notification_id))
            transaction.after_commit.append(ALERTS_SENT.labels(alert.channel.value).inc)
        case AlertState.FAILED:
            _publish_failure(transaction, alert, AlertFailure(result.reason or AlertFailure.REJECTED))
        case AlertState.PENDING | AlertState.SUPPRESSED:
            pass


def _publish_failure(transaction: Transaction, alert: Alert, reason: AlertFailure) -> None:
    log.error("alert_failed", alert_id=alert.alert_id, channel=alert.channel, reason=reason.value)
    if alert.occasion.concerns_referral:
        transaction.enqueue_event(publisher.alert_failed(alert, reason))
    transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)


def _draw() -> int:
    return secrets.randbelow(len(ALPHABET) ** TOKEN_LENGTH)


def _report_unreadable(alert_id: object) -> None:
    log.error("alert_unreadable", alert_id=alert_id)
    ALERTS_FAILED.labels("unknown", "unreadable").inc()


def _minutes(duration: timedelta) -> int:
    return int(duration.total_seconds() // 60)

"""Stores alerts with the time at which each leaves, and wakes the senders of those that leave at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from simpul_notify import publisher, repository
from simpul_notify.domain.alerts import Alert, Occasion, bundling_delay
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.use_cases.metrics import ALERTS_FAILED
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import AlertFailure, Urgency

log = structlog.get_logger()


class Schedule:
    """The step between recording an alert and sending it: what may wait, waits for others to the same recipient."""

    def __init__(
        self, roster: Callable[[], Roster], bundle_period: timedelta, wake: Callable[[Recipient, bool], None]
    ) -> None:
        """`roster` returns the roster in use.

        `wake` gets a recipient for whom something is due, and whether it is urgent.
        """
        self._roster = roster
        self._bundle_period = bundle_period
        self._wake = wake

    async def add_alerts(self, transaction: Transaction, alerts: Sequence[Alert], *, is_overdue: bool = False) -> None:
        """Stores alerts; a party without a responder has its alerts recorded as failed.

        What is overdue waits for nothing, because somebody has been waited for already.
        """
        alerts = _distinct(alerts)
        unreachable = [alert for alert in alerts if not alert.responder]
        scheduled = [(alert, timedelta() if is_overdue else self._delay(alert)) for alert in alerts if alert.responder]
        if scheduled:
            await repository.add_alerts(transaction, scheduled)
        for alert, delay in scheduled:
            if not delay:
                transaction.after_commit.append(partial(self._wake, alert.recipient, alert.urgency is Urgency.HIGH))
        if unreachable:
            await self._fail_alerts(transaction, unreachable)

    def _delay(self, alert: Alert) -> timedelta:
        return bundling_delay(alert, self._roster().channels[alert.urgency], self._bundle_period)

    async def _fail_alerts(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        """Records alerts as failed: the party has no responder on duty or does not exist in the city."""
        reason = AlertFailure.NOBODY_ON_DUTY
        await repository.add_alerts(transaction, [(alert, timedelta()) for alert in alerts], failure=reason.value)
        for alert in alerts:
            log.error("nobody_on_duty", party=alert.party, referral_id=alert.referral_id)
            if alert.occasion.concerns_referral:
                transaction.enqueue_event(publisher.alert_failed(alert, reason))
            transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)


def _distinct(alerts: Sequence[Alert]) -> list[Alert]:
    """Returns one alert for each event and recipient; that a party has not reacted is left out where there is more."""
    ordered = sorted(alerts, key=lambda alert: alert.occasion is Occasion.UNACKNOWLEDGED, reverse=True)
    distinct: dict[tuple[UUID, Recipient], Alert] = {}
    for alert in ordered:
        key = (alert.cause, alert.recipient)
        earlier = distinct.get(key, alert)
        distinct[key] = replace(alert, for_parties=alert.for_parties | earlier.for_parties)
    return list(distinct.values())

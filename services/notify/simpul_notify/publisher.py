"""Builds the contract messages that notify publishes."""

from typing import Any

from simpul_notify.domain import Alert
from simpul_runtime.outbox import Announcement
from simpul_schema import Event
from simpul_schema.messages import AlertFailedV1, AlertSentV1
from simpul_schema.names import subject_of_referral
from simpul_schema.vocabulary import AlertFailure


def alert_sent(alert: Alert) -> Announcement:
    """Builds `alert.sent.v1`."""
    return _alert_event(alert, AlertSentV1, {})


def alert_failed(alert: Alert, reason: AlertFailure) -> Announcement:
    """Builds `alert.failed.v1`."""
    return _alert_event(alert, AlertFailedV1, {"reason": reason})


def _alert_event(alert: Alert, message: type[Event], details: dict[str, Any]) -> Announcement:
    return Announcement(
        message,
        subject=subject_of_referral(alert.referral_id),
        case_id=alert.case_id,
        data={
            "alert_id": alert.alert_id,
            "referral_id": alert.referral_id,
            "channel": alert.channel,
            "attempts": alert.attempts,
            **details,
        },
    )

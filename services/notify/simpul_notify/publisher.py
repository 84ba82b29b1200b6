"""Facts of notify as messages of the contract."""

from typing import Any

from simpul_notify.domain import Alert
from simpul_runtime.outbox import Announcement
from simpul_schema import Event
from simpul_schema.messages import AlertFailedV1, AlertSentV1
from simpul_schema.names import subject_of_referral
from simpul_schema.vocabulary import AlertFailure


def alert_sent(alert: Alert) -> Announcement:
    """`alert.sent.v1`."""
    return _about(alert, AlertSentV1, {})


def alert_failed(alert: Alert, reason: AlertFailure) -> Announcement:
    """`alert.failed.v1`."""
    return _about(alert, AlertFailedV1, {"reason": reason})


def _about(alert: Alert, message: type[Event], more: dict[str, Any]) -> Announcement:
    return Announcement(
        message,
        subject=subject_of_referral(alert.referral_id),
        case_id=alert.case_id,
        data={
            "alert_id": alert.alert_id,
            "referral_id": alert.referral_id,
            "channel": alert.channel,
            "attempts": alert.attempts,
            **more,
        },
    )

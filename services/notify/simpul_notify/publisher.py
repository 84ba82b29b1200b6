"""Builds the contract messages that notify publishes."""

from typing import Any
from uuid import UUID

from simpul_notify.domain.alerts import Alert
from simpul_notify.domain.escalation import Escalation
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema import Event
from simpul_schema.messages import AlertExhaustedV1, AlertFailedV1, AlertSentV1
from simpul_schema.names import subject_of_escalation, subject_of_referral
from simpul_schema.vocabulary import AlertFailure


def alert_sent(alert: Alert, notification_id: UUID) -> OutgoingEvent:
    """Builds `alert.sent.v1`."""
    return _alert_event(alert, AlertSentV1, {"notification_id": notification_id})


def alert_failed(alert: Alert, reason: AlertFailure) -> OutgoingEvent:
    """Builds `alert.failed.v1`."""
    return _alert_event(alert, AlertFailedV1, {"reason": reason})


def alert_exhausted(escalation: Escalation, responders: int) -> OutgoingEvent:
    """Builds `alert.exhausted.v1` after this number of people was alerted; each is a stream of its own."""
    return OutgoingEvent(
        AlertExhaustedV1,
        subject=subject_of_escalation(escalation.escalation_id),
        case_id=escalation.case_id,
        causation=escalation.cause,
        data={
            "referral_id": escalation.referral_id,
            "case_id": escalation.case_id,
            "agency": escalation.agency,
            "party": escalation.party,
            "services": escalation.services,
            "clock": escalation.clock,
            "step": escalation.step,
            "urgency": escalation.urgency,
            "due_at": escalation.deadline,
            "responders": responders,
        },
    )


def _alert_event(alert: Alert, message: type[Event], details: dict[str, Any]) -> OutgoingEvent:
    return OutgoingEvent(
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

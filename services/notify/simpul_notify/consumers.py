"""Assigns each consumed event to a use case."""

from collections.abc import Mapping, Sequence
from typing import Any

from simpul_notify.domain import Progress
from simpul_notify.use_cases import EndAlerts, RecordAlerts
from simpul_runtime.inbox import Handler
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import (
    CaseAgencyExcludedV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralDeclinedV1,
    ReferralEscalatedV1,
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)


def alert_handlers(record_alerts: RecordAlerts, end_alerts: EndAlerts) -> Mapping[type[Event], Handler]:
    """Message type -> handler."""

    def progressed_to(progress: Progress) -> Handler:
        async def record(transaction: Transaction, events: Sequence[Any]) -> None:
            await end_alerts.record_progress(transaction, progress, events)

        return record

    return {
        ReferralOfferedV1: record_alerts.record_offer_alerts,
        ReferralRemindedV1: record_alerts.record_deadline_alerts,
        ReferralOverdueV1: record_alerts.record_deadline_alerts,
        ReferralEscalatedV1: record_alerts.record_deadline_alerts,
        ReferralExclusionSuggestedV1: record_alerts.record_suggestion_alerts,
        ReferralExclusionDecidedV1: progressed_to(Progress.ENDED),
        ReferralAmendedV1: end_alerts.update_pending_alerts,
        ReferralAcceptedV1: progressed_to(Progress.ANSWERED),
        ReferralStartedV1: progressed_to(Progress.STARTED),
        ReferralDeclinedV1: progressed_to(Progress.ENDED),
        ReferralReroutedV1: progressed_to(Progress.ENDED),
        ReferralCompletedV1: progressed_to(Progress.ENDED),
        ReferralCancelledV1: progressed_to(Progress.ENDED),
        ReferralRevokedV1: progressed_to(Progress.ENDED),
        CaseAgencyExcludedV1: end_alerts.record_exclusions,
    }

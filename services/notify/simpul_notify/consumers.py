"""Messages in: hand to the use case."""

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


def handlers(record_alerts: RecordAlerts, end_alerts: EndAlerts) -> Mapping[type[Event], Handler]:
    """What notify does with each message."""

    def progressed_to(progress: Progress) -> Handler:
        async def note(transaction: Transaction, events: Sequence[Any]) -> None:
            await end_alerts.note_progress(transaction, progress, events)

        return note

    return {
        ReferralOfferedV1: record_alerts.alert_of_offers,
        ReferralRemindedV1: record_alerts.alert_of_deadlines,
        ReferralOverdueV1: record_alerts.alert_of_deadlines,
        ReferralEscalatedV1: record_alerts.alert_of_deadlines,
        ReferralExclusionSuggestedV1: record_alerts.alert_of_suggestions,
        ReferralExclusionDecidedV1: progressed_to(Progress.ENDED),
        ReferralAmendedV1: end_alerts.note_amendments,
        ReferralAcceptedV1: progressed_to(Progress.ANSWERED),
        ReferralStartedV1: progressed_to(Progress.STARTED),
        ReferralDeclinedV1: progressed_to(Progress.ENDED),
        ReferralReroutedV1: progressed_to(Progress.ENDED),
        ReferralCompletedV1: progressed_to(Progress.ENDED),
        ReferralCancelledV1: progressed_to(Progress.ENDED),
        ReferralRevokedV1: progressed_to(Progress.ENDED),
        CaseAgencyExcludedV1: end_alerts.note_exclusions,
    }

"""Assigns each consumed event to a use case."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from simpul_notify.domain.alerts import Progress
from simpul_notify.use_cases import EndAlerts, RecordAlerts
from simpul_runtime.inbox import Handler
from simpul_runtime.topology import Binding
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import (
    AgencyAlarmV1,
    BreachFoundV1,
    CaseAgencyExcludedV1,
    ReferralAcceptedV1,
    ReferralAmendedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralConsentWithdrawnV1,
    ReferralDeadlineMetV1,
    ReferralDeclinedV1,
    ReferralEscalatedV1,
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralPlanDecidedV1,
    ReferralPlanProposedV1,
    ReferralRemindedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.names import EVENTS

BINDINGS: Final[tuple[Binding, ...]] = (
    (EVENTS, "referral.#"), (EVENTS, "case.agency_excluded.v1"), (EVENTS, "agency.alarm.v1"),
    (EVENTS, "breach.found.v1"),
)  # fmt: skip
"""What notify's queue is bound to: whole streams of referrals, because an event waits for its predecessor, the
exclusions of agencies, and what concerns no referral."""


def alert_handlers(record_alerts: RecordAlerts, end_alerts: EndAlerts) -> Mapping[type[Event], Handler]:
    """Message type -> handler."""

    def progressed_to(progress: Progress) -> Handler:
        async def record(transaction: Transaction, events: Sequence[Any]) -> None:
            await end_alerts.record_progress(transaction, progress, events)

        return record

    async def record_agency_alarms(transaction: Transaction, events: Sequence[AgencyAlarmV1]) -> None:
        await record_alerts.record_agency_alarms(transaction, [event for event in events if not event.data.is_over])
        await end_alerts.end_alarms(transaction, [event.data.alarm_id for event in events if event.data.is_over])

    async def record_breaches(transaction: Transaction, events: Sequence[BreachFoundV1]) -> None:
        await record_alerts.record_breaches(transaction, [event for event in events if not event.data.is_over])
        await end_alerts.end_alarms(transaction, [event.data.breach_id for event in events if event.data.is_over])

    return {
        ReferralOfferedV1: record_alerts.record_offer_alerts,
        ReferralRemindedV1: record_alerts.record_deadline_alerts,
        ReferralOverdueV1: record_alerts.record_deadline_alerts,
        ReferralEscalatedV1: record_alerts.record_deadline_alerts,
        ReferralExclusionSuggestedV1: record_alerts.record_suggestion_alerts,
        ReferralExclusionDecidedV1: end_alerts.record_decisions,
        ReferralPlanProposedV1: record_alerts.record_plan_alerts,
        ReferralPlanDecidedV1: end_alerts.record_decisions,
        ReferralAmendedV1: record_alerts.record_amendment_alerts,
        ReferralConsentWithdrawnV1: record_alerts.record_withdrawal_alerts,
        ReferralAcceptedV1: progressed_to(Progress.ANSWERED),
        ReferralStartedV1: progressed_to(Progress.STARTED),
        ReferralDeclinedV1: progressed_to(Progress.ENDED),
        ReferralReroutedV1: progressed_to(Progress.ENDED),
        ReferralCompletedV1: progressed_to(Progress.ENDED),
        ReferralCancelledV1: end_alerts.record_revocations,
        ReferralRevokedV1: end_alerts.record_revocations,
        ReferralDeadlineMetV1: end_alerts.record_met_deadlines,
        AgencyAlarmV1: record_agency_alarms,
        BreachFoundV1: record_breaches,
        CaseAgencyExcludedV1: end_alerts.record_exclusions,
    }

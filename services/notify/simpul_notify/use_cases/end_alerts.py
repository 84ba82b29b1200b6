"""Suppresses alerts that became unnecessary, and informs those who were alerted before about what was revoked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from simpul_notify import repository
from simpul_notify.domain.alerts import REVOKED_CLOCK, Alert, Occasion, Progress
from simpul_notify.domain.responders import CHANNELS
from simpul_notify.use_cases.metrics import ALERTS_SUPPRESSED
from simpul_notify.use_cases.schedule import Schedule
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import (
    CaseAgencyExcludedV1,
    ReferralAcceptedV1,
    ReferralCancelledV1,
    ReferralCompletedV1,
    ReferralDeadlineMetV1,
    ReferralDeclinedV1,
    ReferralExclusionDecidedV1,
    ReferralPlanDecidedV1,
    ReferralReroutedV1,
    ReferralRevokedV1,
    ReferralStartedV1,
)
from simpul_schema.vocabulary import Urgency

log = structlog.get_logger()


class EndAlerts:
    """Suppresses unnecessary alerts."""

    def __init__(self, levels: Mapping[str, str], schedule: Schedule) -> None:
        """`levels` maps each escalation level to the agency that it is part of."""
        self._levels = levels
        self._schedule = schedule

    async def record_progress(
        self,
        transaction: Transaction,
        progress: Progress,
        events: Sequence[
            ReferralAcceptedV1
            | ReferralStartedV1
            | ReferralDeclinedV1
            | ReferralReroutedV1
            | ReferralCompletedV1
            | ReferralCancelledV1
            | ReferralRevokedV1
        ],
    ) -> None:
        """Records the progress of services and suppresses alerts that it makes unnecessary."""
        services = [service.service_id for event in events for service in event.data.services]
        await self._record_progress(transaction, [event.data.case_id for event in events], services, progress)

    async def record_decisions(
        self, transaction: Transaction, events: Sequence[ReferralExclusionDecidedV1 | ReferralPlanDecidedV1]
    ) -> None:
        """Suppresses alerts about decisions that are no longer due."""
        decisions = [event.data.referral_id for event in events]
        await self._record_progress(transaction, [event.data.case_id for event in events], decisions, Progress.ENDED)

    async def record_met_deadlines(self, transaction: Transaction, events: Sequence[ReferralDeadlineMetV1]) -> None:
        """Suppresses alerts about deadlines that were met, as far as they are about steps before that."""
        cases = [event.data.case_id for event in events]
        met = [
            (service.service_id, event.data.clock, event.data.met_at)
            for event in events
            for service in event.data.services
        ]
        suppressed = await repository.record_met_deadlines(transaction, cases, met)
        await repository.end_unneeded_escalations(transaction, cases)
        _count_suppressed(transaction, "settled", suppressed)

    async def end_alarms(self, transaction: Transaction, alarms: Sequence[UUID]) -> None:
        """Suppresses alerts about alarms that are over."""
        if alarms:
            await self._record_progress(transaction, alarms, alarms, Progress.ENDED)

    async def _record_progress(
        self, transaction: Transaction, cases: Sequence[UUID], services: Sequence[UUID], progress: Progress
    ) -> None:
        suppressed = await repository.record_progress(transaction, cases, services, progress)
        await repository.end_unneeded_escalations(transaction, cases)
        _count_suppressed(transaction, "settled", suppressed)

    async def record_revocations(
        self, transaction: Transaction, events: Sequence[ReferralRevokedV1 | ReferralCancelledV1]
    ) -> None:
        """Ends the services, and informs those who were alerted about them, by one channel and without urgency."""
        await self.record_progress(transaction, Progress.ENDED, events)
        of_event = {event.id: tuple(service.service_id for service in event.data.services) for event in events}
        alerted = await repository.find_alerted_responders(
            transaction, [(event.id, event.data.case_id, of_event[event.id]) for event in events]
        )
        revocations = [
            _revocation(event, of_event[event.id], responder, transaction.now)
            for event in events
            for responder in alerted[event.id]
        ]
        await self._schedule.add_alerts(transaction, revocations)

    async def record_exclusions(self, transaction: Transaction, events: Sequence[CaseAgencyExcludedV1]) -> None:
        """Excludes agencies, and the escalation levels that are part of them, from further alerts of a case (R6)."""
        excluded = [
            (event.data.case_id, party)
            for event in events
            for party in (
                event.data.agency,
                *(level for level, parent in self._levels.items() if parent == event.data.agency),
            )
        ]
        _count_suppressed(transaction, "excluded", await repository.exclude_parties(transaction, excluded))


def _revocation(
    event: ReferralRevokedV1 | ReferralCancelledV1,
    services: tuple[UUID, ...],
    alerted: repository.AlertedResponder,
    now: datetime,
) -> Alert:
    recipient = min(alerted.recipients, key=lambda one: (CHANNELS.index(one.channel), one.position))
    return Alert(
        uuid4(),
        event.id,
        event.data.referral_id,
        event.data.case_id,
        services,
        recipient.responder,
        recipient.channel,
        Urgency.LOW,
        now,
        Occasion.REVOKED,
        REVOKED_CLOCK,
        event.data.agency,
        alerted.party,
        position=recipient.position,
    )


def _count_suppressed(transaction: Transaction, reason: str, suppressed: int) -> None:
    if suppressed:
        log.info("alerts_suppressed", reason=reason, count=suppressed)
        transaction.after_commit.append(lambda: ALERTS_SUPPRESSED.labels(reason).inc(suppressed))

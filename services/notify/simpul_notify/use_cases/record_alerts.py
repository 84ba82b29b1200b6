"""Records alerts for the events of routing."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final
from uuid import uuid4

import structlog

from simpul_notify import publisher, repository
from simpul_notify.domain import Alert, Occasion, Responder, Roster
from simpul_notify.use_cases.metrics import ALERTS_FAILED, ALERTS_SUPPRESSED
from simpul_notify.use_cases.send_alerts import LEASE
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import (
    ReferralEscalatedV1,
    ReferralExclusionSuggestedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
)
from simpul_schema.messages.referral import ClockStepData, ReferralExclusionSuggestedData, ReferralOfferedData
from simpul_schema.vocabulary import AlertFailure

_EXCLUSION_CLOCK: Final = "exclusion"
"""Names the deadline of a decision about suggested exclusions in `messages.yaml`."""
_NOBODY: Final = Responder("", "", {})
"""Stands for a party without a responder; its alerts fail at once."""

log = structlog.get_logger()


class RecordAlerts:
    """Records an alert per responder on duty and channel, and schedules sending after the commit."""

    def __init__(self, roster: Roster, schedule_send: Callable[[Alert], None]) -> None:
        self._roster = roster
        self._schedule_send = schedule_send

    async def record_offer_alerts(self, transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
        """Alerts the responders of the addressed agencies."""
        await self._record_alerts(
            transaction, [alert for event in events for alert in self._alerts_for_offer(event.data)]
        )

    async def record_deadline_alerts(
        self, transaction: Transaction,
        events: Sequence[ReferralRemindedV1 | ReferralOverdueV1 | ReferralEscalatedV1],
    ) -> None:  # fmt: skip
        """Alerts the responders of the parties that the agreement names for this step."""
        await self._record_alerts(
            transaction, [alert for event in events for alert in self._alerts_for_deadline(event.data)]
        )

    async def record_suggestion_alerts(
        self, transaction: Transaction, events: Sequence[ReferralExclusionSuggestedV1]
    ) -> None:
        """Alerts the responders who must decide about suggested exclusions, or the levels above them when overdue."""
        await self._record_alerts(
            transaction, [alert for event in events for alert in self._alerts_for_suggestion(event.data)]
        )

    async def _record_alerts(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        reachable = [alert for alert in alerts if alert.responder]
        if reachable:
            send, suppressed = await repository.add_alerts(transaction, reachable, LEASE)
            transaction.after_commit += [partial(self._schedule_send, alert) for alert in send]
            if suppressed:
                log.info("alerts_suppressed", count=len(suppressed), at="arrival")
                transaction.after_commit.append(
                    partial(ALERTS_SUPPRESSED.labels("unneeded_at_arrival").inc, len(suppressed))
                )
        if len(reachable) < len(alerts):
            await self._fail_alerts(transaction, [alert for alert in alerts if not alert.responder])

    async def _fail_alerts(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        """Records alerts as failed: the party has no responder on duty or does not exist in the city."""
        reason = AlertFailure.NOBODY_ON_DUTY
        await repository.add_alerts(transaction, alerts, LEASE, failure=reason.value)
        for alert in alerts:
            log.error("nobody_on_duty", party=alert.party, referral_id=alert.referral_id)
            transaction.announce(publisher.alert_failed(alert, reason))
            transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)

    def _alerts_for_offer(self, data: ReferralOfferedData) -> Iterator[Alert]:
        for responder in self._responders_of(data.agency):
            for channel in self._roster.channels[data.urgency]:
                yield Alert(
                    uuid4(), data.referral_id, data.case_id, responder.reference, channel, data.urgency, data.answer_by,
                    agency=data.agency, party=data.agency,
                )  # fmt: skip

    def _alerts_for_deadline(self, data: ClockStepData) -> Iterator[Alert]:
        for party in data.escalation_targets:
            for responder in self._responders_of(party):
                for channel in self._roster.channels[data.urgency]:
                    yield Alert(
                        uuid4(), data.referral_id, data.case_id, responder.reference, channel, data.urgency,
                        data.due_at, Occasion(data.step), data.clock, data.agency, party,
                    )  # fmt: skip

    def _alerts_for_suggestion(self, data: ReferralExclusionSuggestedData) -> Iterator[Alert]:
        for party in data.escalation_targets:
            for responder in self._responders_of(party):
                for channel in self._roster.channels[data.urgency]:
                    yield Alert(
                        uuid4(), data.referral_id, data.case_id, responder.reference, channel, data.urgency,
                        data.decide_by, Occasion(data.step or Occasion.OFFERED), _EXCLUSION_CLOCK, data.agency, party,
                    )  # fmt: skip

    def _responders_of(self, party: str) -> Sequence[Responder]:
        return self._roster.on_duty.get(party, ()) or (_NOBODY,)

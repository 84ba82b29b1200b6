"""An event of routing becomes alerts to people."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final
from uuid import uuid4

import structlog

from simpul_notify import publisher, repository
from simpul_notify.domain import Alert, Contact, Occasion, Roster
from simpul_notify.use_cases.measures import ALERTS_FAILED, ALERTS_SUPPRESSED
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

_EXCLUSION: Final = "exclusion"
"""What the deadline of a decision about suggested exclusions is called in the texts."""
_NOBODY: Final = Contact("", "", {})

log = structlog.get_logger()


class RecordAlerts:
    """Records an alert for each person on duty and channel, then has them sent."""

    def __init__(self, roster: Roster, send_soon: Callable[[Alert], None]) -> None:
        self._roster = roster
        self._send_soon = send_soon

    async def alert_of_offers(self, transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
        """Alert the people of each addressed agency."""
        await self._record(transaction, [alert for event in events for alert in self._of_offer(event.data)])

    async def alert_of_deadlines(
        self, transaction: Transaction,
        events: Sequence[ReferralRemindedV1 | ReferralOverdueV1 | ReferralEscalatedV1],
    ) -> None:  # fmt: skip
        """Alert the people of each party that the agreement names at this step."""
        await self._record(transaction, [alert for event in events for alert in self._of_step(event.data)])

    async def alert_of_suggestions(
        self, transaction: Transaction, events: Sequence[ReferralExclusionSuggestedV1]
    ) -> None:
        """Alert the people who must decide about suggested exclusions, and the levels above when nobody does."""
        await self._record(transaction, [alert for event in events for alert in self._of_suggestion(event.data)])

    async def _record(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        reachable = [alert for alert in alerts if alert.contact]
        if reachable:
            send, suppressed = await repository.add_alerts(transaction, reachable, LEASE)
            transaction.after_commit += [partial(self._send_soon, alert) for alert in send]
            if suppressed:
                log.info("alerts_suppressed", count=len(suppressed), at="arrival")
                transaction.after_commit.append(
                    partial(ALERTS_SUPPRESSED.labels("unneeded_at_arrival").inc, len(suppressed))
                )
        if len(reachable) < len(alerts):
            await self._fail(transaction, [alert for alert in alerts if not alert.contact])

    async def _fail(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        """Nobody is on duty for a party: the roster changed, or the agreement names a party the city does not."""
        reason = AlertFailure.NOBODY_ON_DUTY
        await repository.add_alerts(transaction, alerts, LEASE, failure=reason.value)
        for alert in alerts:
            log.error("nobody_on_duty", party=alert.party, referral_id=alert.referral_id)
            transaction.announce(publisher.alert_failed(alert, reason))
            transaction.after_commit.append(ALERTS_FAILED.labels(alert.channel.value, reason.value).inc)

    def _of_offer(self, data: ReferralOfferedData) -> Iterator[Alert]:
        for contact in self._people_of(data.agency):
            for channel in self._roster.channels[data.urgency]:
                yield Alert(
                    uuid4(), data.referral_id, data.case_id, contact.reference, channel, data.urgency, data.answer_by,
                    agency=data.agency, party=data.agency,
                )  # fmt: skip

    def _of_step(self, data: ClockStepData) -> Iterator[Alert]:
        for party in data.escalation_targets:
            for contact in self._people_of(party):
                for channel in self._roster.channels[data.urgency]:
                    yield Alert(
                        uuid4(), data.referral_id, data.case_id, contact.reference, channel, data.urgency, data.due_at,
                        Occasion(data.step), data.clock, data.agency, party,
                    )  # fmt: skip

    def _of_suggestion(self, data: ReferralExclusionSuggestedData) -> Iterator[Alert]:
        for party in data.escalation_targets:
            for contact in self._people_of(party):
                for channel in self._roster.channels[data.urgency]:
                    yield Alert(
                        uuid4(), data.referral_id, data.case_id, contact.reference, channel, data.urgency,
                        data.decide_by, Occasion(data.step or Occasion.OFFERED), _EXCLUSION, data.agency, party,
                    )  # fmt: skip

    def _people_of(self, party: str) -> Sequence[Contact]:
        return self._roster.on_duty.get(party, ()) or (_NOBODY,)

"""Opens escalations for the events of routing, and alerts the first person of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4, uuid5

from simpul_notify import repository
from simpul_notify.domain.alerts import (
    ALARM_CLOCKS,
    BREACH_CLOCK,
    PLAN_CLOCK,
    REACT_WITHIN,
    WITHDRAWAL_CLOCK,
    Amendment,
    KnownService,
    Occasion,
    find_new_demands,
    highest_urgency,
)
from simpul_notify.domain.escalation import Escalation
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.use_cases.escalate_alerts import EscalateAlerts
from simpul_notify.use_cases.schedule import Schedule
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import (
    AgencyAlarmV1,
    BreachFoundV1,
    ReferralAmendedV1,
    ReferralConsentWithdrawnV1,
    ReferralEscalatedV1,
    ReferralExclusionSuggestedV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralPlanProposedV1,
    ReferralRemindedV1,
)
from simpul_schema.messages.referral import ClockStepData, RequestedService
from simpul_schema.vocabulary import AgencyAlarm, StepReason, Urgency

_EXCLUSION_CLOCK: Final = "exclusion"
"""Names the deadline of a decision about suggested exclusions in `messages.yaml`."""


class RecordAlerts:
    """Opens, for each event and each party that must know it, an escalation."""

    def __init__(
        self, roster: Callable[[], Roster], schedule: Schedule, escalate: EscalateAlerts, levels: Mapping[str, str]
    ) -> None:
        """`roster` returns the roster in use; `levels` maps each escalation level to the agency that it is part of."""
        self._levels = levels
        self._roster = roster
        self._schedule = schedule
        self._escalate = escalate

    async def record_offer_alerts(self, transaction: Transaction, events: Sequence[ReferralOfferedV1]) -> None:
        """Alerts the responders of the addressed agencies, once for each referral."""
        services = [_known(service) for event in events for service in event.data.services]
        await repository.describe_services(transaction, services)
        await self._record(
            transaction,
            [
                escalation
                for event in events
                for escalation in self._escalations_for(
                    event,
                    [service.service_id for service in event.data.services],
                    event.data.urgency,
                    event.data.answer_by,
                    Occasion.OFFERED,
                    parties=(event.data.agency,),
                )
            ],
        )

    async def record_amendment_alerts(self, transaction: Transaction, events: Sequence[ReferralAmendedV1]) -> None:
        """Alerts the agency again about what is new: added services, and answers that are due earlier or more urgent.

        Alerts that still wait say what the referral demands when they leave.
        """
        amendments = [
            Amendment(tuple(map(_known, event.data.services)), frozenset(event.data.added)) for event in events
        ]
        services = [service for amendment in amendments for service in amendment.services]
        known = await repository.find_services(transaction, [service.service_id for service in services])
        escalations = [
            escalation
            for event, demands in zip(events, find_new_demands(amendments, known), strict=True)
            if demands
            for escalation in self._escalations_for(
                event,
                [service.service_id for service in demands],
                highest_urgency(service.urgency for service in demands),
                min(service.answer_by for service in demands),
                Occasion.AMENDED,
                parties=(event.data.agency,),
            )
        ]
        await repository.describe_services(transaction, services)
        await self._record(transaction, escalations)

    async def record_withdrawal_alerts(
        self, transaction: Transaction, events: Sequence[ReferralConsentWithdrawnV1]
    ) -> None:
        """Alerts the agencies that must stop processing the data of a case and acknowledge it."""
        escalations = [
            escalation
            for event in events
            for escalation in self._escalations_for(
                event,
                [service.service_id for service in event.data.services] or [event.data.referral_id],
                Urgency.MEDIUM,
                event.data.acknowledge_by,
                Occasion.CONSENT_WITHDRAWN,
                WITHDRAWAL_CLOCK,
                parties=(event.data.agency,),
            )
        ]
        await self._record(transaction, escalations)

    async def record_deadline_alerts(
        self,
        transaction: Transaction,
        events: Sequence[ReferralRemindedV1 | ReferralOverdueV1 | ReferralEscalatedV1],
    ) -> None:
        """Alerts the responders of the parties that the agreement names for this step."""
        await self._record(
            transaction,
            [
                escalation
                for event in events
                for escalation in self._escalations_for(
                    event,
                    [service.service_id for service in event.data.services],
                    event.data.urgency,
                    event.data.due_at,
                    _occasion_of(event.data),
                    event.data.clock,
                    event.data.step,
                    parties=event.data.escalation_targets,
                )
            ],
        )

    async def record_suggestion_alerts(
        self, transaction: Transaction, events: Sequence[ReferralExclusionSuggestedV1]
    ) -> None:
        """Alerts the responders who must decide about suggested exclusions, or the levels above them when overdue."""
        escalations = [
            escalation
            for event in events
            for escalation in self._escalations_for_decision(event, event.data.decide_by, _EXCLUSION_CLOCK)
        ]
        await self._record(transaction, escalations)

    async def record_plan_alerts(self, transaction: Transaction, events: Sequence[ReferralPlanProposedV1]) -> None:
        """Alerts the responders who must confirm a service plan, or the levels above them; each once for each step.

        A plan that follows new facts is published again, and nobody is alerted again.
        """
        escalations = [
            replace(escalation, cause=uuid5(event.data.referral_id, str(event.data.step)))
            for event in events
            for escalation in self._escalations_for_decision(event, event.data.confirm_by, PLAN_CLOCK)
        ]
        await self._record(transaction, escalations)

    def _escalations_for_decision(
        self, event: ReferralExclusionSuggestedV1 | ReferralPlanProposedV1, deadline: datetime, clock: str
    ) -> Iterator[Escalation]:
        """Yields the escalations of a decision; its reference stands for the services that others are about."""
        data = event.data
        occasion = Occasion(data.step or Occasion.OFFERED)
        return self._escalations_for(
            event,
            [data.referral_id],
            data.urgency,
            deadline,
            occasion,
            clock,
            data.step,
            parties=data.escalation_targets,
        )

    def _escalations_for(
        self,
        event: ReferralOfferedV1
        | ReferralAmendedV1
        | ReferralConsentWithdrawnV1
        | ReferralRemindedV1
        | ReferralOverdueV1
        | ReferralEscalatedV1
        | ReferralExclusionSuggestedV1
        | ReferralPlanProposedV1,
        services: Sequence[UUID],
        urgency: Urgency,
        deadline: datetime,
        occasion: Occasion,
        clock: str = "answer",
        step: int = 0,
        *,
        parties: Sequence[str],
    ) -> Iterator[Escalation]:
        for party in parties:
            yield Escalation(
                uuid4(),
                event.id,
                party,
                event.data.referral_id,
                event.data.case_id,
                tuple(services),
                event.data.agency,
                urgency,
                deadline,
                occasion,
                clock,
                step,
                event.time,
            )

    async def record_agency_alarms(self, transaction: Transaction, events: Sequence[AgencyAlarmV1]) -> None:
        """Alerts the leads of agencies that do not see their referrals, and the coordinator.

        Once for each alarm, however often it is published. A silence is alerted about again until it ends, and messages
        that the agency could not use until somebody takes care of them.
        """
        coordinator = self._roster().coordinator
        await self._record(
            transaction,
            [
                _alarm(
                    event,
                    event.data.alarm_id,
                    party,
                    event.data.agency,
                    Urgency.HIGH if event.data.alarm is AgencyAlarm.PARKED else Urgency.MEDIUM,
                    event.time + REACT_WITHIN,
                    ALARM_CLOCKS[event.data.alarm],
                )
                for event in events
                for party in dict.fromkeys((event.data.agency, coordinator))
                if party
            ],
        )

    async def record_breaches(self, transaction: Transaction, events: Sequence[BreachFoundV1]) -> None:
        """Alerts those who answer for the city's data, again and again until every notice was given.

        These are the coordinator's people, the head above them, and the levels above every agency.
        """
        roster = self._roster()
        above = (level for level, part_of in self._levels.items() if part_of in ("", roster.coordinator))
        parties = [party for party in dict.fromkeys((roster.coordinator, *above)) if party]
        await self._record(
            transaction,
            [
                _alarm(
                    event,
                    event.data.breach_id,
                    party,
                    roster.coordinator,
                    Urgency.MEDIUM,
                    event.data.due_at,
                    BREACH_CLOCK,
                )
                for event in events
                for party in parties
            ],
        )

    async def _record(self, transaction: Transaction, escalations: Sequence[Escalation]) -> None:
        """Alerts the first responder of each; that nobody is on duty is recorded as failed alerts."""
        roster = self._roster()
        nobody = [
            escalation.alert_for(Recipient("", channel), escalation.party)
            for escalation in escalations
            if not roster.on_duty.get(escalation.party)
            for channel in roster.channels[escalation.urgency]
        ]
        await self._schedule.add_alerts(transaction, nobody)
        await self._escalate.open_escalations(transaction, escalations)


def _alarm(
    event: AgencyAlarmV1 | BreachFoundV1,
    alarm_id: UUID,
    party: str,
    agency: str,
    urgency: Urgency,
    deadline: datetime,
    clock: str,
) -> Escalation:
    """Opens an alarm, which is repeated until it is over.

    Its id stands for the event, the case, the referral and the service that others are about.
    """
    return Escalation(
        uuid4(),
        alarm_id,
        party,
        alarm_id,
        alarm_id,
        (alarm_id,),
        agency,
        urgency,
        deadline,
        Occasion.ALARM,
        clock,
        int(Occasion.ESCALATED),
        event.time,
    )


def _known(service: RequestedService) -> KnownService:
    return KnownService(service.service_id, service.urgency, service.answer_by)


def _occasion_of(step: ClockStepData) -> Occasion:
    """Returns what a step alerts about: before its time, that nobody could be reached."""
    return Occasion.UNACKNOWLEDGED if step.reason is StepReason.NOBODY_REACHED else Occasion(step.step)

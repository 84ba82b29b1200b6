"""A case file notifies people about its clocks, about suggested exclusions, and about services without an agency."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Decision
from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.case_events import ROUTING, CaseEventKind, TakenCaseStep, TakenStep
from simpul_routing.domain.case_record import Alarm, CaseRecord
from simpul_routing.domain.clocks import ReferralClock, escalation_targets, find_top_levels
from simpul_routing.domain.exclusions import ExclusionReview, find_deciding_agency, find_waiting, review_targets
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import TERMINAL
from simpul_routing.domain.published import ClockStepTaken, ExclusionDecided, ExclusionSuggested
from simpul_routing.domain.referral import ReferralService
from simpul_schema.vocabulary import StepReason

_REQUESTED: Final = 0
"""The step of the request for a review itself; the others are those of every clock."""


class Escalation(CaseRecord):
    """Steps of clocks, and reviews of suggested exclusions."""

    def is_step_outstanding(self, service: ReferralService, clock: ReferralClock) -> bool:
        """Whether somebody must be notified at the next step of a clock."""
        has_ended = service.standing.state in TERMINAL and clock.clock is not ClockName.WITHDRAWAL
        return clock.step is not None and not has_ended

    def step_clock(self, service: ReferralService, name: ClockName, targets: tuple[str, ...]) -> None:
        """Takes the next step of a clock and notifies the targets; the clock of an ended service has no more steps.

        A reminder is for all services of the referral whose own would follow before the deadline: nobody is reminded
        twice of what one answer settles, and nothing so early that it is forgotten.
        """
        clock = service.clocks[name]
        if clock.step is None or not self.is_step_outstanding(service, clock):
            self.set_service(service.with_clocks([replace(clock, step=None)]))
            return
        others = self._list_reminded_together(service, name) if clock.step is Step.HALF else []
        is_early = self.rules.now < clock.moment_of(clock.step)
        self._publish_step(
            service,
            clock,
            clock.step,
            targets,
            others,
            informs_agency=not service.is_declined,
            reason=StepReason.NOBODY_REACHED if is_early else StepReason.DEADLINE,
        )
        for taking in (service, *others):
            self._record_step(taking, taking.clocks[name], clock.step)
            self.set_service(taking.with_clocks([taking.clocks[name].after_step(clock.step)]))

    def _list_reminded_together(self, reminded: ReferralService, name: ClockName) -> list[ReferralService]:
        """Lists the other services of a referral whose reminder by the same clock would follow before the deadline."""
        deadline = reminded.clocks[name].due_at
        if reminded.is_declined:
            return []
        return [
            service
            for service in self.referrals[reminded.referral_id].services.values()
            if service.service_id != reminded.service_id
            and service.is_with_agency
            and (clock := service.clocks.get(name))
            and clock.step is Step.HALF
            and not clock.is_stopped
            and clock.moment_of(Step.HALF) <= deadline
        ]

    def _record_step(self, service: ReferralService, clock: ReferralClock, step: Step) -> None:
        payload = TakenStep(service.agency, service.service, clock.clock, step)
        self._record_of(service, CaseEventKind.DEADLINE_STEP_TAKEN, ROUTING, payload)

    def _publish_step(
        self,
        service: ReferralService,
        clock: ReferralClock,
        step: Step,
        targets: tuple[str, ...],
        others: Sequence[ReferralService] = (),
        cause: UUID | None = None,
        *,
        informs_agency: bool,
        reason: StepReason = StepReason.DEADLINE,
    ) -> None:
        referral = self.referrals[service.referral_id]
        taken = ClockStepTaken(
            referral, (service, *others), clock.clock, step, clock.due_at, targets, informs_agency, reason
        )
        self.enqueue(taken, cause)

    def find_step_targets(self, service: ReferralService, clock: ReferralClock) -> tuple[str, ...]:
        """Finds whom the next step of a clock notifies."""
        return self._find_targets(service, clock, clock.step, self.facts) if clock.step else ()

    def _find_targets(
        self, service: ReferralService, clock: ReferralClock, step: Step, facts: CaseFacts
    ) -> tuple[str, ...]:
        engines = self.rules.versions.of(service.agreement)
        decision = self.rules.decide_by(engines, clock.started_at, facts, self.case.urgency)
        waiting = find_waiting(facts.pending, facts.situation, self.case.urgency, engines.agreement)
        # Nobody provides a declined service, so its steps begin at the top.
        at = Step.TWICE if service.is_declined else step
        addressee = self.rules.addressee(service.agency)
        for origin in (waiting.exclude_waiting_agencies(facts.origin, service.service), facts.origin):
            targets = escalation_targets(at, decision.effective, engines.agreement, addressee, origin)
            if targets:
                return targets
        return find_top_levels(engines.agreement, facts.origin) if service.is_declined else ()

    def leave_without_agency(self, declined: ReferralService, facts: CaseFacts, cause: UUID | None) -> None:
        """Keeps a declined service outstanding that no agency is left for: its clocks run, and the top is notified."""
        restarted = [replace(clock, stopped_at=None) for clock in declined.own_clocks]
        kept = [clock for clock in restarted if clock.clock is not ClockName.RECEIPT]
        received = [clock.stop(self.rules.now) for clock in restarted if clock.clock is ClockName.RECEIPT]
        service = declined.with_clocks([*kept, *received])
        self.set_service(service)
        answer = service.clocks.get(ClockName.ANSWER)
        clock = answer or ReferralClock(ClockName.ANSWER, self.rules.now, service.answer_by)
        targets = self._find_targets(service, clock, Step.TWICE, facts)
        self._publish_step(service, clock, Step.TWICE, targets, cause=cause, informs_agency=False)
        self.raise_alarm(Alarm.NO_AGENCY, service)

    def request_review(self, decision: Decision, answer_by: datetime, cause: UUID | None) -> None:
        """Requests a decision about suggested exclusions within the time that an agency has to answer."""
        pending, origin, agreement = self.facts.pending, self.facts.origin, self.rules.agreement
        if not pending:
            return
        agency = find_deciding_agency(agreement, origin, pending)
        if not agency:
            self.raise_alarm(Alarm.NO_DECIDING_AGENCY)
        clock = ReferralClock(ClockName.ANSWER, self.rules.now, answer_by)
        self.review = ExclusionReview(self.rules.new_id(), self.case_id, agency, clock)
        targets = review_targets(None, decision.effective, agreement, self.rules.addressee(agency), origin, pending)
        self.enqueue(ExclusionSuggested(self.review, self.case.urgency, pending, _REQUESTED, targets), cause)

    def update_review(self, decision: Decision, answer_by: datetime, cause: UUID | None) -> None:
        """After a replan: requests a decision, moves the request to another agency, or closes it.

        A case has one open review, however many agencies are suggested.
        """
        review, pending, origin = self.review, self.facts.pending, self.facts.origin
        if review is None:
            self.request_review(decision, answer_by, cause)
            return
        decides = find_deciding_agency(self.rules.agreement, origin, pending)
        is_unable = review.agency in pending | origin.excluded and review.agency != decides
        if not pending or is_unable:
            self.close_review(cause, informs_agency=review.agency not in origin.excluded)
            self.request_review(decision, min(review.clock.due_at, answer_by), cause)
        elif answer_by < review.clock.due_at:
            self.review = replace(review, clock=replace(review.clock, due_at=answer_by))

    def close_review(self, cause: UUID | None = None, *, informs_agency: bool = True) -> None:
        """Closes the open review, if there is one."""
        if self.review:
            self.enqueue(ExclusionDecided(self.review, self.case.urgency, informs_agency), cause)
            self.review = None

    def publish_review_step(self, review: ExclusionReview, step: Step) -> None:
        """Notifies the people who have to decide about suggested exclusions."""
        facts, engines = self.facts, self.rules.versions.of(self.case.agreement)
        if not facts.pending:
            return
        decision = self.rules.decide_by(engines, review.clock.started_at, facts, self.case.urgency)
        targets = review_targets(
            step,
            decision.effective,
            engines.agreement,
            self.rules.addressee(review.agency),
            facts.origin,
            facts.pending,
        )
        self.enqueue(ExclusionSuggested(review, self.case.urgency, facts.pending, int(step.value), targets))
        self.record_event(CaseEventKind.EXCLUSION_STEP_TAKEN, ROUTING, TakenCaseStep(step, review.agency))

    def advance_review(self, review: ExclusionReview, step: Step) -> None:
        """Brings the clock of the open review to the step after `step`."""
        self.review = replace(review, clock=review.clock.after_step(step))

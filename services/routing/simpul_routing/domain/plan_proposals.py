"""A case file proposes a service plan to the case manager, and sends it when it is confirmed or due."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Decision
from simpul_agreement.model import ClockName, PlanDeadline, Step
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.capacity import replace_full_agencies
from simpul_routing.domain.case_events import ROUTING, CaseEventKind, TakenCaseStep
from simpul_routing.domain.case_record import Alarm, Terms
from simpul_routing.domain.clocks import ReferralClock, tighten_clocks
from simpul_routing.domain.exclusions import ExclusionReview, find_deciding_agency, review_targets
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.placement import Placement
from simpul_routing.domain.published import PlanDecided, PlanProposed
from simpul_routing.domain.service_plan import Proposal, ServicePlan, without_service
from simpul_schema.vocabulary import PlanEnd, ReferralRole, Service, Urgency

_PROPOSED: Final = 0
"""The step of the proposal itself; the others are those of every clock."""
_NO_DEADLINE: Final = PlanDeadline(Within(), is_sent_at_deadline=True)
"""Where no clause sets a time, which a proof rules out, nobody waits."""


class PlanProposals(Placement):
    """The open proposal of a case; each case has at most one."""

    def update_plan(self, decision: Decision, proposed: Sequence[PlannedReferral], cause: UUID | None) -> None:
        """Proposes these services: opens a plan, changes or moves the open one, or closes it.

        Services that a person left out of an earlier plan are not proposed again. A plan keeps its deadline unless the
        facts demand an earlier one; one whose last step was taken starts again with new services.
        """
        services = tuple(one for one in proposed if one.service not in self.facts.left_out)
        plan, agency = self.plan, self._find_case_manager()
        if not services:
            self.close_plan(PlanEnd.CLOSED, cause)
            return
        deadline = decision.plan_deadline or _NO_DEADLINE
        calendar = self.rules.agreement.calendar
        clock = ReferralClock.start(ClockName.ANSWER, deadline.within, self.rules.now, self.rules.city.zone, calendar)
        if plan and plan.agency == agency and not (plan.clock.step is None and _adds(plan.services, services)):
            self._change_plan(plan, services, clock, deadline, cause)
            return
        if plan:
            if plan.clock.step and plan.clock.due_at < clock.due_at:
                clock = ReferralClock(ClockName.ANSWER, self.rules.now, plan.clock.due_at)
            self.close_plan(PlanEnd.MOVED if plan.agency != agency else PlanEnd.CLOSED, cause)
        self._open_plan(services, agency, clock, deadline, cause)

    def _open_plan(
        self, services: Proposal, agency: str, clock: ReferralClock, deadline: PlanDeadline, cause: UUID | None
    ) -> None:
        if not agency:
            self.raise_alarm(Alarm.NO_DECIDING_AGENCY)
        self.plan = ServicePlan(
            self.rules.new_id(), self.case_id, agency, clock, deadline.is_sent_at_deadline, lambda: services
        )
        self.record_event(CaseEventKind.PLAN_PROPOSED, ROUTING, cause=cause)
        self._publish_plan(self.plan, None, cause)

    def _change_plan(
        self, plan: ServicePlan, services: Proposal, clock: ReferralClock, deadline: PlanDeadline, cause: UUID | None
    ) -> None:
        """Changes the open plan, never to a later deadline; the agency receives the new proposal, nobody twice."""
        if clock.due_at < plan.clock.due_at or plan.is_sent_at_deadline is not deadline.is_sent_at_deadline:
            [earlier] = tighten_clocks([plan.clock], [clock], frozenset()) or [plan.clock]
            plan = replace(plan, clock=earlier, is_sent_at_deadline=deadline.is_sent_at_deadline)
        if set(plan.services) != set(services):
            plan = plan.with_services(services)
        if plan is not self.plan:
            self.plan = plan
            self._publish_plan(plan, None, cause)

    def follow_case_manager(self, cause: UUID | None, facts: CaseFacts | None = None) -> None:
        """Moves the open plan to the agency that manages the case now, under the same deadline.

        `facts`, those of the case by default, may exclude an agency that has just declared a conflict.
        """
        plan = self.plan
        agency = self._find_case_manager(facts) if plan else ""
        if plan and agency != plan.agency:
            services, deadline = plan.services, PlanDeadline(Within(), plan.is_sent_at_deadline)
            self.close_plan(PlanEnd.MOVED, cause, facts)
            clock = ReferralClock(ClockName.ANSWER, self.rules.now, plan.clock.due_at)
            self._open_plan(services, agency, clock, deadline, cause)

    def bring_plan_forward(self, clock: ReferralClock) -> None:
        """Makes the open plan due at the deadline of another plan if it is not due before."""
        if self.plan and clock.due_at < self.plan.clock.due_at:
            self.plan = replace(self.plan, clock=replace(clock, step=self.plan.clock.step))
            self._publish_plan(self.plan, None, None)

    def remove_from_plan(self, service: Service, agency: str, role: ReferralRole) -> None:
        """Removes what a person has offered by hand from the open plan."""
        if self.plan is None:
            return
        services = without_service(self.plan.services, service, agency, role)
        if not services:
            self.close_plan(PlanEnd.CLOSED)
        elif services != self.plan.services:
            self.plan = self.plan.with_services(services)
            self._publish_plan(self.plan, None, None)

    def close_plan(self, end: PlanEnd, cause: UUID | None = None, facts: CaseFacts | None = None) -> None:
        """Closes the open plan, if there is one; an agency that `facts`, its own by default, exclude learns nothing."""
        plan = self.plan
        if plan:
            informs_agency = plan.agency not in (facts or self.facts).origin.excluded
            self.enqueue(PlanDecided(plan, end, self._urgency_of_plan(plan), informs_agency), cause)
            self.plan = None

    def find_due_decisions(self, now: datetime) -> list[ExclusionReview | ServicePlan]:
        """Finds what a person should have decided by now: the open review, the open plan, or both."""
        awaited = [one for one in (self.review, self.plan) if one]
        return [one for one in awaited if one.clock.next_at and one.clock.next_at <= now]

    def take_plan_step(self, plan: ServicePlan, step: Step) -> None:
        """Takes a step of the plan: notifies people, and sends a plan that is due and may go out by itself."""
        if step is Step.DUE and plan.is_sent_at_deadline:
            services = plan.services
            self.close_plan(PlanEnd.SENT)
            self.record_event(CaseEventKind.PLAN_SENT, ROUTING)
            self.offer_planned_services(services, ROUTING, passes_over_full=True)
            self.update_rights(None)
            return
        self._publish_plan(plan, step, None)
        self.record_event(CaseEventKind.PLAN_STEP_TAKEN, ROUTING, TakenCaseStep(step, plan.agency))
        self.plan = replace(plan, clock=plan.clock.after_step(step))

    def offer_planned_services(self, services: Proposal, actor: str, *, passes_over_full: bool) -> None:
        """Offers the services of a plan; their clocks start now.

        Whoever confirmed a plan chose the agencies in it, so a full one is passed over only where nobody did.
        """
        engines = self.rules.versions.of(self.case.agreement)
        decision = self.rules.decide_by(engines, self.rules.now, self.facts, self.case.urgency)
        full = self.find_full_agencies(services, decision, engines.agreement, None) if passes_over_full else []
        for proposed in services:
            one = replace_full_agencies(proposed, full)
            if one is None:
                continue
            terms = Terms(
                urgency=decision.terms_of(one.service).urgency,
                agreement=self.case.agreement,
                clocks=self.rules.required_clocks(decision, self.facts, one.service, one.role, one.agency),
            )
            self.offer_service(one, terms, actor, None)

    def _find_case_manager(self, facts: CaseFacts | None = None) -> str:
        """Finds the agency that leads case management, or the one that decides where no rule does."""
        facts = facts or self.facts
        excluded = facts.origin.excluded
        managing = (
            service.agency
            for service in self.services
            if service.service is Service.CASE_MANAGEMENT
            and service.role is ReferralRole.LEAD
            and service.standing.is_open
            and not service.is_declined
            and service.agency not in excluded
        )
        deciding = find_deciding_agency(self.rules.agreement, facts.origin, facts.pending)
        return next(managing, deciding)

    def _urgency_of_plan(self, plan: ServicePlan) -> Urgency:
        engines = self.rules.versions.of(self.case.agreement)
        decision = self.rules.decide_by(engines, self.rules.now, self.facts, self.case.urgency)
        return min((decision.terms_of(one.service).urgency for one in plan.services), key=list(Urgency).index)

    def _publish_plan(self, plan: ServicePlan, step: Step | None, cause: UUID | None) -> None:
        engines, facts = self.rules.versions.of(self.case.agreement), self.facts
        decision = self.rules.decide_by(engines, plan.clock.started_at, facts, self.case.urgency)
        targets = review_targets(
            step, decision.effective, engines.agreement, self.rules.addressee(plan.agency), facts.origin, facts.pending
        )
        urgencies = {one.service: decision.terms_of(one.service).urgency for one in plan.services}
        right_of = engines.agreement.right_of
        rights = {service: right_of[service] for service in urgencies}
        number = int(step.value) if step else _PROPOSED
        self.enqueue(PlanProposed(plan, plan.services, urgencies, rights, number, targets), cause)


def _adds(before: Proposal, after: Proposal) -> bool:
    return not {one.service for one in after} <= {one.service for one in before}

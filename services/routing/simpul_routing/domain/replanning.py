"""A case file is decided again: offers missing services, withdraws unneeded ones and amends the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Decision
from simpul_agreement.model import Phase
from simpul_agreement.plan import CasePlan, PlannedReferral, caretaker, plan_case
from simpul_routing.domain.capacity import replace_full_agencies
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_events import ROUTING, CaseEventKind, Replanned
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState
from simpul_routing.domain.case_record import Terms, Why
from simpul_routing.domain.clocks import continue_clocks, find_answer_deadline, relax_clocks, tighten_clocks
from simpul_routing.domain.exclusions import (
    HeldPlan,
    SuggestionState,
    find_deciding_agency,
    find_units,
    hold_back_referrals,
)
from simpul_routing.domain.facts import CaseFacts, ReportedFacts
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.plan_proposals import PlanProposals
from simpul_routing.domain.published import (
    AgencyExcluded,
    Cancelled,
    CaseReopened,
    CaseReplanned,
    ReferralAmended,
    Replacement,
    Revoked,
    RightsChanged,
)
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.replan import (
    Addition,
    Replan,
    carry_over_services,
    combine_urgency,
    find_frozen_agencies,
    replan_services,
)
from simpul_routing.domain.rights import inherit_ledger, mark_awaiting_decision, replan_ledger
from simpul_routing.domain.rules import Rules
from simpul_schema.vocabulary import CancelReason, ReferralRole, ReplanReason, RightState, Service, Urgency

_ENDED_BY_CASE: Final = (ServiceState.CANCELLED, ServiceState.ENTERED_IN_ERROR)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a case is replanned, and by whom."""

    reason: ReplanReason
    by: str
    event_id: UUID | None = None
    note: str = ""
    """What a person wrote."""


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision about a case, and the plan that follows from it."""

    decision: Decision
    from_facts: Urgency
    held: HeldPlan

    @property
    def plan(self) -> CasePlan:
        """The plan, with the referrals that wait for a decision about an exclusion."""
        return self.held.plan


def decide_case(rules: Rules, facts: CaseFacts, decision: Decision) -> NewDecision:
    """Plans a case by a decision; agencies whose exclusion is suggested wait."""
    plan = plan_case(decision, rules.agreement, facts.origin, rules.now, rules.city.zone)
    decides = find_deciding_agency(rules.agreement, facts.origin, facts.pending)
    held = hold_back_referrals(plan, facts.situation, facts.pending, decides, rules.agreement)
    return NewDecision(decision, decision.urgency or Urgency.HIGH, held)


class Replanning(PlanProposals):
    """Decisions after the facts, the urgency or the exclusions of a case changed."""

    def amend_report(self, report_of: UUID, report: ReportedFacts, suggested: Sequence[str], cause: UUID) -> None:
        """Replans the case with the amended facts of the report that opened the case `report_of`.

        A case that had ended is reopened, because new facts about a child must not vanish in it.
        """
        before = self.facts
        facts = before.amend_report(report_of, report).add_suggestions(suggested, self.rules.now)
        ended = self.find_services_ended_with_case()
        if self.case.has_ended:
            self.reopen_case(ROUTING, cause=cause, replan_reason=ReplanReason.FACTS_AMENDED)
        self.record_suggestions(facts.pending - before.pending, cause)
        self.replan(facts, Cause(ReplanReason.FACTS_AMENDED, ROUTING, cause), ended=ended)

    def reopen_case(
        self, actor: str, *, note: str = "", cause: UUID | None = None, replan_reason: ReplanReason | None = None
    ) -> None:
        """Reopens an ended case; replan it next."""
        before = self.case.ledger
        self.change_state(
            CaseAction.REOPENED,
            actor,
            note=note,
            cause=cause,
            replan_reason=replan_reason,
            ended_as=None,
            ended_at=None,
        )
        if before is not self.case.rights:
            self.enqueue(RightsChanged(self.case.rights))
        self.enqueue(CaseReopened())

    def find_services_ended_with_case(self) -> list[ReferralService]:
        """Finds the services that ended because the case did."""
        if not self.case.has_ended:
            return []
        ended = [one for one in self.own_services if one.ended_at == self.case.ended_at]
        return [one for one in ended if one.standing.state in _ENDED_BY_CASE]

    def record_suggestions(self, agencies: frozenset[str], cause: UUID) -> None:
        """Records suggested exclusions; only the note, which is encrypted, names the agencies."""
        if agencies:
            note = ", ".join(sorted(agencies))
            self.record_event(CaseEventKind.EXCLUSION_SUGGESTED, ROUTING, note=note, cause=cause)

    def exclude_agency(self, agency: str, cause: Cause) -> None:
        """Excludes an agency from the case and withdraws all its services (R6)."""
        facts = self.facts
        if agency in facts.pending:
            facts = facts.decide_suggestion(agency, SuggestionState.CONFIRMED, cause.by, self.rules.now)
        city, units = self.rules.city, find_units({agency}, self.rules.agreement)
        self.replan(facts.exclude_agencies(units & city.agency_codes, city.kinds[agency]), cause)

    def decide(self, facts: CaseFacts, urgency: Urgency | None = None, duplicate: Case | None = None) -> NewDecision:
        """Decides by the facts; `urgency` overrides the urgency by the facts."""
        decision = self.rules.decide(facts)
        from_facts = decision.urgency or Urgency.HIGH
        effective = urgency or self._combine_urgency(from_facts, duplicate)
        if effective is from_facts:
            return decide_case(self.rules, facts, decision)
        return replace(decide_case(self.rules, facts, self.rules.decide(facts, effective)), from_facts=from_facts)

    def _combine_urgency(self, from_facts: Urgency, duplicate: Case | None) -> Urgency:
        """Returns the urgency after new facts; that of the more urgent case if a duplicate is merged."""
        order, case = list(Urgency).index, self.case
        known = min((case, duplicate), key=lambda c: order(c.urgency_from_facts)) if duplicate else case
        urgency = combine_urgency(case.urgency, known.urgency_from_facts, from_facts)
        return min(urgency, duplicate.urgency, key=order) if duplicate else urgency

    def replan(
        self,
        facts: CaseFacts,
        cause: Cause,
        *,
        urgency: Urgency | None = None,
        duplicate: Case | None = None,
        joining: Sequence[ReferralService] = (),
        ended: Sequence[ReferralService] = (),
    ) -> None:
        """Decides the case again and changes its services to what the decision requires.

        `urgency` overrides the urgency by the facts. `duplicate` is a case that is being merged into this one, and
        `joining` its open services; without a duplicate, `joining` are services by hand that ended with the case.
        Planned services become a proposal, except those that had `ended` with the case: they were confirmed before.
        """
        before = self.case
        decided = self.decide(facts, urgency, duplicate)
        change = self._find_changes(decided, facts, joining, ended, is_merge=duplicate is not None)
        self._change_decision(replace(facts, mediation_locked=decided.plan.mediation_locked), decided)
        for agency in sorted(facts.origin.excluded - before.facts.origin.excluded):
            self.enqueue(AgencyExcluded(agency), cause.event_id)
        confirmed = frozenset(one.outstanding_service.service for one in ended)
        at_once, proposed = self._divide_additions(change, confirmed)
        new = [addition.planned for addition in at_once]
        full = self.find_full_agencies(new, decided.decision, self.rules.agreement, cause.event_id)
        placed = [(addition, replace_full_agencies(addition.planned, full)) for addition in at_once]
        added = [
            self._offer_addition(decided, replace(addition, planned=planned), cause)
            for addition, planned in placed
            if planned
        ]
        stranded = self._find_stranded(decided, change)
        for service in change.withdrawn:
            self._withdraw_service(service, cause, is_stranded=service in stranded)
        for service in joining if duplicate else ():
            why = Why(cause.by, cause.event_id, replan=cause.reason)
            self.move_service(service, ServiceState.CANCELLED, why, Cancelled(CancelReason.CASE_MERGED))
        self._amend_kept(decided, change.kept, before, cause.event_id)
        self.cover_case(decided, cause.event_id)
        self.update_plan(decided.decision, [addition.planned for addition in proposed], cause.event_id)
        self._replan_rights(decided, duplicate, cause.event_id)
        self.record_event(
            CaseEventKind.REPLANNED, cause.by, Replanned(cause.reason), note=cause.note, cause=cause.event_id
        )
        if self.case.state is CaseState.INTERVENTION:
            self.update_case_state(CaseAction.SERVED)
        self.update_review(decided.decision, decided.plan.answer_by, cause.event_id)
        withdrawn = [service for service in change.withdrawn if service not in stranded]
        plan = decided.plan
        self.enqueue(
            CaseReplanned(cause.reason, plan.agreement, plan.urgency, added, withdrawn, [*change.kept, *stranded]),
            cause.event_id,
        )

    def _find_changes(
        self,
        decided: NewDecision,
        facts: CaseFacts,
        joining: Sequence[ReferralService],
        ended: Sequence[ReferralService],
        *,
        is_merge: bool,
    ) -> Replan:
        agreement, plan, waiting = self.rules.agreement, decided.plan, decided.held.waiting
        joining_ids = {service.service_id for service in joining} if is_merge else set()
        others = [service for service in self.services if service.service_id not in joining_ids]
        unassigned = {assigned.service for assigned in decided.decision.assignments if not assigned.lead}
        change = replan_services(
            plan.referrals,
            others,
            agreement,
            facts.origin,
            joining if is_merge else (),
            waiting,
            unassigned if plan.referrals else unassigned | {Service.MANUAL_TRIAGE},
            self._find_former_leads(joining if is_merge else ended),
        )
        if not joining:
            return change
        carried = carry_over_services(change, joining, others, agreement, facts.origin, waiting)
        # Services that ended with the case get new clocks; those of a duplicate keep theirs.
        carried = carried if is_merge else [replace(addition, continues=None) for addition in carried]
        return replace(change, added=(*change.added, *carried))

    def _find_former_leads(self, services: Sequence[ReferralService]) -> dict[Service, str]:
        """Finds who led services that join or had ended, as far as the agreement still permits it."""
        return {
            one.service: one.agency
            for one in services
            if one.role is ReferralRole.LEAD
            and not one.is_declined
            and one.escalated_service is None
            and one.service in self.rules.find_mandate(one.agency)
        }

    @staticmethod
    def _divide_additions(change: Replan, confirmed: frozenset[Service]) -> tuple[list[Addition], list[Addition]]:
        """Divides additions into those to offer at once and those to propose.

        What continues a referral, supports a service that has a lead or was offered by hand was confirmed before.
        """
        led = {r.outstanding_service.service for r in change.kept if r.outstanding_service.role is ReferralRole.LEAD}

        def is_proposed(addition: Addition) -> bool:
            service, role = addition.outstanding_service.service, addition.outstanding_service.role
            was_confirmed = addition.continues is not None or addition.by_hand or service in confirmed
            is_led = role is ReferralRole.SUPPORT and service in led
            is_planned = addition.planned.phase is Phase.PLANNED and addition.escalated_service is None
            return is_planned and not (was_confirmed or is_led)

        divided: tuple[list[Addition], list[Addition]] = [], []
        for addition in change.added:
            divided[is_proposed(addition)].append(addition)
        return divided

    def _change_decision(self, facts: CaseFacts, decided: NewDecision) -> None:
        engines, plan = self.rules.active, decided.plan
        self.case = replace(
            self.case,
            urgency=plan.urgency,
            urgency_from_facts=decided.from_facts,
            mediation_locked=plan.mediation_locked,
            agreement=plan.agreement,
            agreement_digest=engines.digest,
            read_facts=lambda: facts,
        )

    def _offer_addition(self, decided: NewDecision, addition: Addition, cause: Cause) -> ReferralService:
        planned, continued = addition.planned, addition.continues
        outstanding = addition.outstanding_service.service
        clocks = self.rules.required_clocks(
            decided.decision, self.facts, planned.service, planned.role, planned.agency, outstanding=outstanding
        )
        if continued:
            clocks = continue_clocks(continued.own_clocks, clocks, self.rules.now)
        terms = Terms(
            urgency=decided.decision.terms_of(outstanding).urgency,
            agreement=decided.plan.agreement,
            clocks=clocks,
            continues=continued,
            reroute_count=continued.reroute_count + continued.is_declined if continued else 0,
            escalated_service=addition.escalated_service,
            by_hand=addition.by_hand,
        )
        offered = self.offer_service(planned, terms, ROUTING, cause.event_id)
        if continued and continued.is_declined:
            # No agency was left when it was declined.
            is_escalated_to_hub = offered.service is Service.MANUAL_TRIAGE
            replacement = Replacement(offered.service_id, offered.reroute_count, is_escalated_to_hub)
            why = Why(cause.by, cause.event_id, replan=cause.reason)
            self.replace_declined(continued, offered, replacement, why)
        return offered

    def _find_stranded(self, decided: NewDecision, change: Replan) -> list[ReferralService]:
        """Finds the withdrawn leads that are still needed when no agency is left to offer them to."""
        if caretaker(self.rules.agreement, self.facts.origin, self.triage_declined_by):
            return []
        covered = {addition.outstanding_service.service for addition in change.added}
        covered |= {kept.outstanding_service.service for kept in change.kept}
        needed = {assigned.service for assigned in decided.decision.assignments}
        return [
            one
            for one in change.withdrawn
            if one.outstanding_service.role is ReferralRole.LEAD
            and one.outstanding_service.service not in covered
            and (one.by_hand or one.outstanding_service.service in needed)
        ]

    def _withdraw_service(self, service: ReferralService, cause: Cause, *, is_stranded: bool) -> None:
        why = Why(cause.by, cause.event_id, replan=cause.reason)
        if is_stranded:
            declined = self.move_service(service, ServiceState.DECLINED, why)
            self.leave_without_agency(declined, self.facts, cause.event_id)
        else:
            self.move_service(service, ServiceState.REVOKED, why, Revoked(cause.reason))

    def cover_case(self, decided: NewDecision, cause: UUID | None) -> None:
        """Opens a manual triage without an agency if every agency is excluded, so that somebody is notified."""
        if decided.plan.referrals or any(service.standing.is_open for service in self.services):
            return
        agency, lead = self.rules.agreement.hub, ReferralRole.LEAD
        clocks = self.rules.required_clocks(decided.decision, self.facts, Service.MANUAL_TRIAGE, lead, agency)
        terms = Terms(decided.plan.urgency, decided.plan.agreement, clocks)
        planned = PlannedReferral(Service.MANUAL_TRIAGE, agency, lead)
        service = self.add_service(planned, terms, ServiceState.DECLINED)
        self.leave_without_agency(service, self.facts, cause)

    def _amend_kept(
        self, decided: NewDecision, kept: Sequence[ReferralService], before: Case, cause: UUID | None
    ) -> None:
        """Publishes new facts and deadlines to the agencies whose services stay.

        An agency whose exclusion is suggested learns them once a person has decided that it is not too close.
        """
        frozen = find_frozen_agencies(decided.held.waiting, kept)
        cleared = find_units(before.facts.pending, self.rules.agreement) - decided.held.waiting.agencies
        order = list(Urgency).index
        is_lowered = order(decided.plan.urgency) > order(before.urgency)
        has_new_facts = before.facts.shared != self.facts.shared
        for service in kept:
            if service.is_declined or service.agency in frozen:
                continue
            clocks = service.clocks.values()
            outstanding = service.outstanding_service.service
            required = self.rules.required_clocks(
                decided.decision, self.facts, service.service, service.role, service.agency, outstanding=outstanding
            )
            urgency = decided.decision.terms_of(outstanding).urgency
            if not is_lowered:
                # New facts never lower what was asked with more urgency.
                urgency = min(urgency, service.standing.urgency, key=order)
            changed = (
                relax_clocks(clocks, required)
                if is_lowered
                else tighten_clocks(clocks, required, service.implied_replies)
            )
            answer_by = find_answer_deadline(changed, service.answer_by)
            amended = service.amend(urgency, answer_by, changed)
            self.set_service(amended)
            if has_new_facts or amended.version != service.version or service.agency in cleared:
                self.enqueue(ReferralAmended(self.referrals[service.referral_id], self.facts.shared), cause)

    def _replan_rights(self, decided: NewDecision, duplicate: Case | None, cause: UUID | None) -> None:
        known = inherit_ledger(self.case.rights, duplicate.rights) if duplicate else self.case.rights
        ledger = replan_ledger(known, decided.plan.rights, self.find_leads())
        unanswered = frozenset(right for right, entry in ledger.items() if entry.state is RightState.UNANSWERED)
        right_of = {need.service: need.right for need in decided.decision.assignments}
        ledger = mark_awaiting_decision(ledger, decided.held.held_rights(right_of) & unanswered)
        self.publish_rights(ledger, cause)
        self.change_case(rights=ledger)

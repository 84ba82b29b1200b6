"""A case manager confirms a service plan as it is, or edits it first."""

from dataclasses import replace

from simpul_routing.domain.case_actions import CaseActions
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.case_lifecycle import CASE_TRANSITIONS, CaseAction
from simpul_routing.domain.service_plan import PlanChanges, edit_proposal
from simpul_routing.errors import PlanUnknown, ReasonMissing, ServiceNotPlanned
from simpul_schema.vocabulary import PlanEnd, ReferralRole


class PlanActions(CaseActions):
    """What a person does with the open service plan of a case."""

    def confirm_plan(self, changes: PlanChanges, actor: str, note: str) -> None:
        """Offers the services of the open plan as a person changed it.

        Raises PlanUnknown, ServiceNotPlanned, ReasonMissing for a service that is left out without a reason,
        DecisionOutstanding if somebody of a suspected agency leaves one out, and for
        another agency or an added service whatever an offer by hand raises.
        """
        plan = self.plan
        if plan is None:
            raise PlanUnknown
        unknown = changes.services - {one.service for one in plan.services}
        if unknown:
            raise ServiceNotPlanned(sorted(unknown)[0])
        if not all(changes.left_out.values()):
            raise ReasonMissing
        if changes.left_out:
            self.check_unsuspected()
        for service, agency in changes.agencies.items():
            self.check_agency(service, agency)
        services = edit_proposal(plan.services, changes)
        self.close_plan(PlanEnd.CONFIRMED)
        self.record_event(CaseEventKind.PLAN_CONFIRMED, actor, note=note)
        for service, reason in changes.left_out.items():
            self.record_event(CaseEventKind.SERVICE_LEFT_OUT, actor, note=f"{service.value}: {reason}")
        if changes.left_out:
            facts = replace(self.facts, left_out=self.facts.left_out | frozenset(changes.left_out))
            self.change_case(read_facts=lambda: facts)
        if (self.case.state, CaseAction.PLANNED) in CASE_TRANSITIONS:
            self.change_state(CaseAction.PLANNED, actor)
        self.offer_planned_services(services, actor, passes_over_full=False)
        for added in changes.added:
            self.offer_by_hand(added.service, added.agency, ReferralRole.LEAD, actor, added.reason)
        self.update_rights(None)

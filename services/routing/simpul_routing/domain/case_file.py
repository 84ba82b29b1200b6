"""A case with everything that belongs to it; only its methods change it, and it is saved as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from simpul_routing.domain.capacity import replace_full_agencies
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_ends import CaseEnds
from simpul_routing.domain.case_events import ROUTING, CaseEventKind, ChangedState
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState, state_after
from simpul_routing.domain.case_record import Alarm, Terms
from simpul_routing.domain.facts import CaseFacts, ReportedFacts
from simpul_routing.domain.published import RightsChanged
from simpul_routing.domain.replanning import decide_case
from simpul_routing.domain.replies import Replies
from simpul_routing.domain.rights import mark_awaiting_decision
from simpul_routing.domain.rules import Rules


class CaseFile(Replies, CaseEnds):
    """A case, its referrals, services and clocks, facts, rights and review, and what is to be published about it.

    The steps of every change are in `case_record`, the replies of agencies in `replies`, deadlines in `escalation`,
    new decisions in `replanning`, and the actions of people in `case_actions` and `case_ends`.
    """

    @classmethod
    def open_case(
        cls,
        case_id: UUID,
        report: ReportedFacts,
        suggested: Sequence[str],
        received_at: datetime,
        rules: Rules,
        cause: UUID,
    ) -> "CaseFile":
        """Opens the file of a reported case, decides it, offers what is immediate and proposes the service plan."""
        facts = CaseFacts({str(case_id): report}).add_suggestions(suggested, rules.now)
        decided = decide_case(rules, facts, rules.decide(facts))
        plan, held = decided.plan, decided.held
        facts = replace(facts, mediation_locked=plan.mediation_locked)
        right_of = {need.service: need.right for need in decided.decision.assignments}
        waiting = held.held_rights(right_of)
        case = Case(
            case_id=case_id,
            state=state_after(CaseAction.DECIDED),
            urgency=plan.urgency,
            urgency_from_facts=plan.urgency,
            mediation_locked=plan.mediation_locked,
            agreement=plan.agreement,
            agreement_digest=rules.active.digest,
            read_facts=lambda: facts,
            rights=mark_awaiting_decision(held.open_rights(right_of), waiting),
            decided_at=rules.now,
        )
        file = cls(case=case, referrals={}, rules=rules, is_new=True)
        changed = ChangedState(CaseState.RECEIVED, case.state, CaseAction.DECIDED)
        file.record_event(CaseEventKind.STATE_CHANGED, ROUTING, changed, cause=cause)
        if not plan.is_covered:
            file.raise_alarm(Alarm.AGREEMENT_GAP)
        file.enqueue(RightsChanged(case.rights), cause)
        file.record_suggestions(facts.pending, cause)
        file.request_review(decided.decision, plan.answer_by, cause)
        full = file.find_full_agencies(held.offered, decided.decision, rules.agreement, cause)
        for one in held.offered:
            planned = replace_full_agencies(one, full)
            if planned is None:
                continue
            clocks = rules.required_clocks(
                decided.decision, facts, planned.service, planned.role, planned.agency, received_at
            )
            urgency = decided.decision.terms_of(planned.service).urgency
            file.offer_service(planned, Terms(urgency, plan.agreement, clocks), ROUTING, cause)
        file.update_plan(decided.decision, held.proposed, cause)
        file.cover_case(decided, cause)
        return file

"""Decides reported cases: a plan and its referrals."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter

from simpul_agreement import Versions
from simpul_agreement.engine import Decision
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Agreement
from simpul_agreement.plan import CasePlan, PlannedReferral, plan_case
from simpul_agreement.reports import situation_from_report
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState, state_after
from simpul_routing.domain.clocks import clocks_for_referral
from simpul_routing.domain.exclusions import find_deciding_agency, hold_back_referrals
from simpul_routing.domain.referral import NewReferral
from simpul_routing.domain.rights import mark_awaiting_decision
from simpul_routing.stored_facts import (
    ReportedFacts,
    StoredFacts,
    case_context,
    encode_clauses,
    encode_facts,
    referral_context,
)
from simpul_routing.use_cases.cases import ROUTING
from simpul_routing.use_cases.review_exclusions import ExclusionReviews
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages.case import CaseReportedV1, TriageFacts

AGREEMENT_GAPS: Final = Counter(
    "simpul_agreement_gaps",
    "Cases that no clause of the agreement covered; the expected value is 0",
    ["version"],
    registry=REGISTRY,
)

log = structlog.get_logger()


class ReferCases:
    """Decides cases by the active version of the agreement."""

    def __init__(self, versions: Versions, city: City, keys: Keys) -> None:
        self._versions = versions
        self._city = city
        self._keys = keys
        self._reviews = ExclusionReviews(city)

    async def refer_cases(
        self, transaction: Transaction, reports: Sequence[tuple[CaseReportedV1, TriageFacts]]
    ) -> None:
        """Plans each reported case and offers its referrals."""
        engines = self._versions.active(transaction.now)
        for event, triage in reports:
            case_id, ward = event.data.case_id, self._city.find_kelurahan(triage.kelurahan)
            situation, origin = situation_from_report(triage, self._city, engines.agreement, event.data.received_at)
            decision = engines.on(transaction.now.astimezone(self._city.zone).date()).decide(situation, origin)
            plan = plan_case(decision, engines.agreement, origin, transaction.now, self._city.zone)
            if not plan.is_covered:
                AGREEMENT_GAPS.labels(plan.agreement).inc()
                log.error("agreement_gap_found", case_id=case_id, version=plan.agreement)
            shared = publisher.referral_facts(
                triage, ward.kecamatan if ward else "", mediation_locked=plan.mediation_locked
            )
            facts = StoredFacts(
                {str(case_id): ReportedFacts(situation, origin, shared)}, mediation_locked=plan.mediation_locked
            )
            facts = facts.add_suggestions(triage.suggested_exclusions, transaction.now)
            held = hold_back_referrals(
                plan, situation, facts.pending, find_deciding_agency(engines.agreement, origin, facts.pending)
            )
            waiting = held.held_rights({need.service: need.right for need in decision.assignments})
            plan = replace(held.plan, rights=mark_awaiting_decision(plan.rights, waiting))
            encrypted = self._keys.lock(encode_facts(facts), place=case_context(case_id))
            repository.add_plan(transaction, case_id, plan, engines.digest, encrypted)
            repository.add_case_transition(
                transaction, case_id, CaseState.RECEIVED.value, state_after(CaseAction.DECIDED).value, ROUTING,
                CaseAction.DECIDED.value, cause=event.id,
            )  # fmt: skip
            transaction.announce(publisher.rights_changed(case_id, plan.rights, event.id))
            self._reviews.record_suggestions(
                transaction, self._keys, case_id, state_after(CaseAction.DECIDED), facts.pending, event.id
            )
            self._reviews.request_review(
                transaction, case_id, facts, (plan, decision), engines.agreement, cause=event.id
            )
            for planned in held.offered:
                known = event.data.received_at if self._is_police(planned.agency) else None
                referral = self._new_referral(
                    case_id, plan, planned, decision, transaction.now, engines.agreement, known
                )
                repository.add_referral(transaction, referral)
                transaction.announce(publisher.referral_offered(referral, facts.shared, event.id))

    def _is_police(self, agency: str) -> bool:
        return self._city.kinds.get(agency) == AgencyKind.POLICE

    def _new_referral(
        self,
        case_id: UUID,
        plan: CasePlan,
        planned: PlannedReferral,
        decision: Decision,
        now: datetime,
        agreement: Agreement,
        police_since: datetime | None,
    ) -> NewReferral:
        clocks = clocks_for_referral(
            decision.effective, planned.service, planned.role, now, self._city.zone, agreement.holidays,
            police_since=police_since,
        )  # fmt: skip
        referral_id = uuid4()
        return NewReferral(
            referral_id=referral_id,
            case_id=case_id,
            agency=planned.agency,
            service=planned.service,
            role=planned.role,
            urgency=plan.urgency,
            answer_by=plan.answer_by,
            agreement=plan.agreement,
            clauses=self._keys.lock(encode_clauses(planned.clauses), place=referral_context(referral_id)),
            clocks=tuple(clocks),
        )

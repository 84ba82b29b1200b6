"""The plan of a case: what a decision asks of whom until when."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from simpul_routing.domain.agreement import Agreement, Within
from simpul_routing.domain.engine import Decision
from simpul_schema.vocabulary import ReferralRole, Service, Urgency

NO_RULE_WITHIN = Within()
"""What nothing in the agreement covers is due at once."""


@dataclass(frozen=True, slots=True)
class PlannedReferral:
    """One service asked of one agency, and the clauses that ask it."""

    service: Service
    agency: str
    role: ReferralRole
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CasePlan:
    """What follows from the facts of a case."""

    agreement: str
    urgency: Urgency
    answer_by: datetime
    mediation_locked: bool
    referrals: tuple[PlannedReferral, ...]
    is_covered: bool = True
    """False when the agreement had no answer, which a proof rules out: the hub decides, an operator is told."""


def plan_case(decision: Decision, agreement: Agreement, now: datetime, zone: ZoneInfo) -> CasePlan:
    """The referrals of a case. A decision with a hole in it becomes manual triage by the hub, never nothing (R9)."""
    referrals = [
        planned
        for assignment in decision.assignments
        if assignment.lead
        for planned in (
            PlannedReferral(assignment.service, assignment.lead, ReferralRole.LEAD, assignment.clauses),
            *(
                PlannedReferral(assignment.service, agency, ReferralRole.SUPPORT, assignment.clauses)
                for agency in assignment.support
            ),
        )
    ]
    covered = (
        decision.urgency is not None and decision.answer is not None and bool(referrals)
        and all(assignment.lead for assignment in decision.assignments)
    )  # fmt: skip
    if not covered and Service.MANUAL_TRIAGE not in {referral.service for referral in referrals}:
        referrals.append(PlannedReferral(Service.MANUAL_TRIAGE, agreement.hub, ReferralRole.LEAD))
    return CasePlan(
        agreement=agreement.version,
        urgency=decision.urgency or Urgency.HIGH,
        answer_by=(decision.answer or NO_RULE_WITHIN).due(now, zone, agreement.holidays),
        mediation_locked=decision.mediation_is_locked,
        referrals=tuple(referrals),
        is_covered=covered,
    )

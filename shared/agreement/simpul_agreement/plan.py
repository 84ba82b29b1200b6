"""The plan of a case: what a decision asks of whom until when."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from simpul_agreement.engine import Decision, Origin
from simpul_agreement.model import Agreement, RightNotNeeded, Within
from simpul_agreement.rights import Ledger, open_ledger
from simpul_schema.vocabulary import ReferralRole, Right, Service, Urgency

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
    rights: Ledger
    is_covered: bool = True
    """False when the agreement lacks an answer, which a proof rules out, or everybody is excluded: an alarm."""


def plan_case(decision: Decision, agreement: Agreement, origin: Origin, now: datetime, zone: ZoneInfo) -> CasePlan:
    """The referrals of a case. A decision with a hole in it becomes manual triage, never nothing (R9).

    The proof rules holes out for one excluded kind of party. With several, a service can be left without a lead:
    then too somebody who is not excluded decides by hand.
    """
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
    is_covered = _is_covered(decision)
    is_triaged = any(referral.service is Service.MANUAL_TRIAGE for referral in referrals)
    if not is_triaged and not (is_covered and referrals and all(a.lead for a in decision.assignments)):
        decides = caretaker(agreement, origin)
        referrals += [PlannedReferral(Service.MANUAL_TRIAGE, decides, ReferralRole.LEAD)] if decides else []
    return CasePlan(
        agreement=agreement.version,
        urgency=decision.urgency or Urgency.HIGH,
        answer_by=(decision.answer or NO_RULE_WITHIN).due(now, zone, agreement.holidays),
        mediation_locked=decision.mediation_is_locked,
        referrals=tuple(referrals),
        rights=open_ledger(decision),
        is_covered=is_covered and bool(referrals),
    )


def _is_covered(decision: Decision) -> bool:
    """Whether the agreement answered everything it must answer."""
    said = (decision.urgency, decision.answer, decision.mediation, decision.basis)
    served = {assigned.right for assigned in decision.assignments}
    waived = {clause.effect.right for clause in decision.effective if isinstance(clause.effect, RightNotNeeded)}
    return None not in said and served | waived == set(Right)


def caretaker(agreement: Agreement, origin: Origin, asked: Collection[str] = ()) -> str:
    """Who decides where no rule does: the hub, else who can triage, else any party.

    Empty when all are excluded or have declined to.
    """
    able = [party.code for party in agreement.parties if Service.MANUAL_TRIAGE in party.services]
    anybody = [party.code for party in agreement.parties if party.kind]
    codes = map(origin.resolve, (agreement.hub, *able, *anybody))
    return next((code for code in codes if code and code not in asked), "")

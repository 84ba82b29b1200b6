"""Turns a decision into the plan of a case: its referrals, their deadline and the rights ledger."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Decision, Origin
from simpul_agreement.model import Agreement, Phase, RightNotNeeded
from simpul_agreement.rights import Ledger, open_ledger
from simpul_schema.vocabulary import ReferralRole, Right, Service, Urgency

NO_RULE_WITHIN = Within()
"""A case that the agreement does not cover is due at once."""


@dataclass(frozen=True, slots=True)
class PlannedReferral:
    """One service for one agency, the clauses that require it, and when it is offered."""

    service: Service
    agency: str
    role: ReferralRole
    clauses: tuple[str, ...] = ()
    phase: Phase = Phase.IMMEDIATE


@dataclass(frozen=True, slots=True)
class CasePlan:
    """The referrals, deadline and rights of a case."""

    agreement: str
    urgency: Urgency
    """That of the case, which is the highest of its services."""
    answer_by: datetime
    mediation_locked: bool
    referrals: tuple[PlannedReferral, ...]
    rights: Ledger
    is_covered: bool = True
    """False, an alarm, when the agreement has no answer, which a proof rules out, or when every party is excluded."""


def plan_case(decision: Decision, agreement: Agreement, origin: Origin, now: datetime, zone: ZoneInfo) -> CasePlan:
    """Plans the referrals of a case; a decision with a gap becomes manual triage (R9).

    A proof rules gaps out for one excluded kind of party. With several excluded kinds a service can have no lead, and a
    party that is not excluded then decides by hand.
    """
    referrals = [
        planned
        for assignment in decision.assignments
        if assignment.lead
        for planned in (
            PlannedReferral(
                assignment.service, assignment.lead, ReferralRole.LEAD, assignment.clauses, assignment.phase
            ),
            *(
                PlannedReferral(assignment.service, agency, ReferralRole.SUPPORT, assignment.clauses, assignment.phase)
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
        answer_by=(decision.answer or NO_RULE_WITHIN).due(now, zone, agreement.calendar),
        mediation_locked=decision.mediation_is_locked,
        referrals=tuple(referrals),
        rights=open_ledger(decision),
        is_covered=is_covered and bool(referrals),
    )


def _is_covered(decision: Decision) -> bool:
    """Whether the agreement answered every question that it must answer."""
    answers = (decision.urgency, decision.answer, decision.mediation, decision.basis)
    served = {assigned.right for assigned in decision.assignments}
    waived = {clause.effect.right for clause in decision.effective if isinstance(clause.effect, RightNotNeeded)}
    return None not in answers and served | waived == set(Right)


def caretaker(agreement: Agreement, origin: Origin, declined_by: Collection[str] = ()) -> str:
    """The party that decides where no rule does: the hub, else one that can triage, else any other.

    Empty when every party is excluded or has declined.
    """
    able = [party.code for party in agreement.parties if Service.MANUAL_TRIAGE in party.services]
    anybody = [party.code for party in agreement.parties if party.kind]
    codes = map(origin.resolve, (agreement.hub, *able, *anybody))
    return next((code for code in codes if code and code not in declined_by), "")

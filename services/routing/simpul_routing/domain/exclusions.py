"""Agencies that a source nobody knows calls too close to the suspect: they wait until a person has decided."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, Clause, Step
from simpul_agreement.plan import CasePlan, PlannedReferral, caretaker
from simpul_routing.domain.clocks import Addressee, Running, told_at
from simpul_routing.domain.hand_over import Successor, successor
from simpul_schema.vocabulary import Answer, ReferralRole, Right, Service, Urgency

_LIFE_BODY_EVIDENCE: Final = frozenset({
    Service.EMERGENCY_PROTECTION, Service.MEDICAL_CARE, Service.FORENSIC_EXAM, Service.PEP_72H,
})  # fmt: skip
"""What the agreement asks only where it is needed now: it never waits."""
_IN_DANGER: Final = frozenset({Service.SHELTER, Service.CASE_MANAGEMENT, Service.MANUAL_TRIAGE})
"""What may not wait while the child is in danger."""


class SuggestionState(StrEnum):
    """Where a suggested exclusion stands."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One agency whose exclusion was suggested; what the person wrote stands in the history of the case."""

    state: SuggestionState
    suggested_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The agencies that wait, and the services that do not wait for anybody."""

    agencies: frozenset[str] = frozenset()
    protective: frozenset[Service] = frozenset()

    def holds_back(self, service: Service, agency: str) -> bool:
        """Whether this agency is not asked for this service before a person has decided."""
        return agency in self.agencies and service not in self.protective

    def passed_over(self, origin: Origin, service: Service) -> Origin:
        """Where somebody is looked for to take a service: whoever waits for it is passed over."""
        return origin if service in self.protective else replace(origin, excluded=origin.excluded | self.agencies)


@dataclass(frozen=True, slots=True)
class ExclusionReview:
    """The people of an agency must decide about all suggestions of a case."""

    referral_id: UUID
    """The reference by which people speak of it, as they do of a referral."""
    case_id: UUID
    agency: str
    """Empty where nobody is left to review."""
    clock: Running


NOBODY_WAITS: Final = Waiting()


def protective_services(situation: Situation, urgency: Urgency) -> frozenset[Service]:
    """The services that protect life, body or evidence of this child: no anonymous word withholds them."""
    protective = _LIFE_BODY_EVIDENCE
    if urgency is Urgency.HIGH or Answer.NO.value in situation["safe_now"]:
        protective |= _IN_DANGER
    if Answer.YES.value in situation["suicidal_sign"]:
        protective |= {Service.PSYCHOLOGIST}
    return protective


def successor_beside(
    waiting: Waiting,
    agreement: Agreement,
    clauses: Collection[str],
    service: Service,
    role: ReferralRole,
    origin: Origin,
    *,
    asked: Collection[str],
    triaging: Collection[str],
    reroute_count: int,
) -> Successor | None:
    """As `successor`, passing over whoever waits; only where nobody else is left one of them follows after all."""
    for possible in (waiting.passed_over(origin, service), origin):
        follows = successor(
            agreement, clauses, service, role, possible, asked=asked, triaging=triaging, reroute_count=reroute_count
        )
        if follows:
            return follows
    return None


def deciding_agency(agreement: Agreement, origin: Origin, pending: frozenset[str]) -> str:
    """Who decides about suggested exclusions: the hub, else the next of the agreement that is not named itself.

    Where everybody is named it is the hub after all; empty only where everybody is excluded.
    """
    apart = replace(origin, excluded=origin.excluded | pending)
    return caretaker(agreement, apart) or caretaker(agreement, origin)


def told_about(
    step: Step | None, clauses: Iterable[Clause], agreement: Agreement, asked: Addressee, origin: Origin,
    pending: frozenset[str],
) -> tuple[str, ...]:  # fmt: skip
    """Whom a suggestion is told: first the agency that is asked, at each step of its deadline the next of the ladder.

    Whoever is named is passed over. Where the agency that is asked is named itself, the top of the ladder is told too.
    """
    apart, clauses = replace(origin, excluded=origin.excluded | pending), tuple(clauses)
    if step is None:
        top = told_at(Step.TWICE, clauses, agreement, asked, apart) if asked.agency in pending | {""} else ()
        return tuple(dict.fromkeys(code for code in (asked.agency, *top) if code))
    return told_at(step, clauses, agreement, asked, apart) or told_at(step, clauses, agreement, asked, origin)


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """A plan of which some referrals wait."""

    plan: CasePlan
    waiting: Waiting

    @property
    def offered(self) -> tuple[PlannedReferral, ...]:
        """What is asked at once."""
        return tuple(r for r in self.plan.referrals if not self.waiting.holds_back(r.service, r.agency))

    def held_rights(self, right_of: Mapping[Service, Right]) -> frozenset[Right]:
        """The rights of which every lead waits."""
        asked: set[Right] = set()
        waits: set[Right] = set()
        for referral in self.plan.referrals:
            if referral.role is ReferralRole.LEAD and referral.service in right_of:
                is_held = self.waiting.holds_back(referral.service, referral.agency)
                (waits if is_held else asked).add(right_of[referral.service])
        return frozenset(waits - asked)


def hold_back(plan: CasePlan, situation: Situation, pending: frozenset[str], decides: str) -> HeldPlan:
    """Let the named agencies wait. Somebody is always asked: where everything waits, whoever decides triages by hand.

    `pending` are the agencies whose exclusion is suggested, `decides` is the agency that is asked about it.
    """
    if not pending:
        return HeldPlan(plan, NOBODY_WAITS)
    held = HeldPlan(plan, Waiting(pending, protective_services(situation, plan.urgency)))
    if held.offered or not decides:
        return held
    triage = PlannedReferral(Service.MANUAL_TRIAGE, decides, ReferralRole.LEAD)
    waiting = replace(held.waiting, protective=held.waiting.protective | {Service.MANUAL_TRIAGE})
    others = tuple(r for r in plan.referrals if r.service is not Service.MANUAL_TRIAGE)
    return HeldPlan(replace(plan, referrals=(*others, triage)), waiting)

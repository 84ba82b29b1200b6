"""Exclusions suggested by an unverified source: the agencies wait until a person has decided."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, Clause, Phase, Step
from simpul_agreement.plan import CasePlan, PlannedReferral, caretaker
from simpul_agreement.rights import Entry, Ledger
from simpul_routing.domain.actors import is_excluded
from simpul_routing.domain.clocks import Addressee, ReferralClock, escalation_targets
from simpul_routing.domain.reroute import NextAgency, find_next_agency
from simpul_schema.vocabulary import Answer, ReferralRole, Right, RightState, Service, Urgency

LIFE_BODY_EVIDENCE: Final = frozenset(
    {Service.EMERGENCY_PROTECTION, Service.MEDICAL_CARE, Service.FORENSIC_EXAM, Service.PEP_72H}
)
"""Services that the agreement requires only when they are needed at once; they never wait."""
_IN_DANGER: Final = frozenset({Service.SHELTER, Service.CASE_MANAGEMENT, Service.MANUAL_TRIAGE})
"""Services that do not wait while the child is in danger."""


class SuggestionState(StrEnum):
    """The state of a suggested exclusion."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggested exclusion of one agency; the reason for the decision is in the history of the case."""

    state: SuggestionState
    suggested_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    namings: int = 0
    """How often the reports had named the agency when it was decided."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The agencies that wait for a decision, and the services that are offered to them nevertheless."""

    agencies: frozenset[str] = frozenset()
    protective: frozenset[Service] = frozenset()

    def holds_back(self, service: Service, agency: str) -> bool:
        """Whether this service is not offered to this agency before a person has decided."""
        return agency in self.agencies and service not in self.protective

    def exclude_waiting_agencies(self, origin: Origin, service: Service) -> Origin:
        """Returns the origin with the waiting agencies excluded, for a service that waits."""
        return origin if service in self.protective else replace(origin, excluded=origin.excluded | self.agencies)


@dataclass(frozen=True, slots=True)
class ExclusionReview:
    """A request to the people of one agency to decide about all suggestions of a case."""

    referral_id: UUID
    """The reference that people quote, as they quote that of a referral."""
    case_id: UUID
    agency: str
    """Empty if no agency is left to review."""
    clock: ReferralClock


NONE_WAITING: Final = Waiting()


def is_in_danger(situation: Situation, urgency: Urgency) -> bool:
    """Whether the child of a case with this urgency may be in danger now."""
    return urgency is Urgency.HIGH or Answer.NO.value in situation["safe_now"]


def protective_services(situation: Situation, urgency: Urgency) -> frozenset[Service]:
    """Returns the services that protect life, body or evidence; an anonymous suggestion never withholds them."""
    protective = LIFE_BODY_EVIDENCE
    if is_in_danger(situation, urgency):
        protective |= _IN_DANGER
    if Answer.YES.value in situation["suicidal_sign"]:
        protective |= {Service.PSYCHOLOGIST}
    return protective


def find_units(agencies: Collection[str], agreement: Agreement) -> frozenset[str]:
    """Finds the agencies together with the parties that are part of one of them: they share people and files."""
    whole = frozenset(agencies)
    return whole.union(party.code for party in agreement.parties if is_excluded(party.code, whole, agreement))


def find_waiting(pending: Collection[str], situation: Situation, urgency: Urgency, agreement: Agreement) -> Waiting:
    """Finds who waits while the exclusion of the agencies in `pending` is undecided, and what does not wait."""
    return Waiting(find_units(pending, agreement), protective_services(situation, urgency))


def find_next_available_agency(
    waiting: Waiting,
    agreement: Agreement,
    clauses: Collection[str],
    service: Service,
    role: ReferralRole,
    origin: Origin,
    *,
    tried: Collection[str],
    declined_triage: Collection[str],
    reroute_count: int,
) -> NextAgency | None:
    """Calls `find_next_agency` without the waiting agencies, then with them if no other agency is left."""
    for possible in (waiting.exclude_waiting_agencies(origin, service), origin):
        found = find_next_agency(
            agreement,
            clauses,
            service,
            role,
            possible,
            tried=tried,
            declined_triage=declined_triage,
            reroute_count=reroute_count,
        )
        if found:
            return found
    return None


def find_deciding_agency(agreement: Agreement, origin: Origin, pending: frozenset[str]) -> str:
    """Returns who decides about suggested exclusions: the hub, or the next agency that no suggestion names.

    If suggestions name all of them, the hub decides. Empty if all are excluded.
    """
    without_suggested = replace(origin, excluded=origin.excluded | pending)
    return caretaker(agreement, without_suggested) or caretaker(agreement, origin)


def review_targets(
    step: Step | None,
    clauses: Iterable[Clause],
    agreement: Agreement,
    reviewer: Addressee,
    origin: Origin,
    pending: frozenset[str],
) -> tuple[str, ...]:
    """Returns whom to notify about suggestions: the reviewer first, then at each step the next escalation level.

    Agencies that a suggestion names are skipped. If it names the reviewer, the top level is notified as well.
    """
    without_suggested, clauses = replace(origin, excluded=origin.excluded | pending), tuple(clauses)
    if step is None:
        top = (
            escalation_targets(Step.TWICE, clauses, agreement, reviewer, without_suggested)
            if reviewer.agency in pending | {""}
            else ()
        )
        return tuple(dict.fromkeys(code for code in (reviewer.agency, *top) if code))
    return escalation_targets(step, clauses, agreement, reviewer, without_suggested) or escalation_targets(
        step, clauses, agreement, reviewer, origin
    )


@dataclass(frozen=True, slots=True)
class HeldPlan:
    """A plan of which some referrals wait for a decision."""

    plan: CasePlan
    waiting: Waiting

    @property
    def offered(self) -> tuple[PlannedReferral, ...]:
        """The referrals to offer at once."""
        return self._not_held(Phase.IMMEDIATE)

    @property
    def proposed(self) -> tuple[PlannedReferral, ...]:
        """The referrals for the service plan."""
        return self._not_held(Phase.PLANNED)

    def _not_held(self, phase: Phase) -> tuple[PlannedReferral, ...]:
        return tuple(
            r for r in self.plan.referrals if r.phase is phase and not self.waiting.holds_back(r.service, r.agency)
        )

    def open_rights(self, right_of: Mapping[Service, Right]) -> Ledger:
        """Returns the ledger of the plan; a right is only planned where its leads that are offered at once wait."""
        offered, proposed = (
            {right_of[r.service] for r in some if r.role is ReferralRole.LEAD and r.service in right_of}
            for some in (self.offered, self.proposed)
        )
        return {
            right: Entry(RightState.PLANNED)
            if entry.state is RightState.REFERRED and right in proposed - offered
            else entry
            for right, entry in self.plan.rights.items()
        }

    def held_rights(self, right_of: Mapping[Service, Right]) -> frozenset[Right]:
        """Returns the rights of which every lead waits."""
        offered: set[Right] = set()
        waits: set[Right] = set()
        for referral in self.plan.referrals:
            if referral.role is ReferralRole.LEAD and referral.service in right_of:
                is_held = self.waiting.holds_back(referral.service, referral.agency)
                (waits if is_held else offered).add(right_of[referral.service])
        return frozenset(waits - offered)


def hold_back_referrals(
    plan: CasePlan, situation: Situation, pending: frozenset[str], decides: str, agreement: Agreement
) -> HeldPlan:
    """Makes the agencies in `pending` wait; if all that is offered at once waits, `decides` receives a manual triage.

    `pending` are the agencies whose exclusion is suggested, `decides` is the agency that decides about it.
    """
    if not pending:
        return HeldPlan(plan, NONE_WAITING)
    held = HeldPlan(plan, find_waiting(pending, situation, plan.urgency, agreement))
    if held.offered or not decides:
        return held
    triage = PlannedReferral(Service.MANUAL_TRIAGE, decides, ReferralRole.LEAD)
    waiting = replace(held.waiting, protective=held.waiting.protective | {Service.MANUAL_TRIAGE})
    others = tuple(r for r in plan.referrals if r.service is not Service.MANUAL_TRIAGE)
    return HeldPlan(replace(plan, referrals=(*others, triage)), waiting)

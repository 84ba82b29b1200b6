"""What a case file publishes when it is saved; `publisher` turns each into an event of the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from simpul_agreement.model import ClockName, Step
from simpul_agreement.rights import Ledger
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.referral import Referral, ReferralService
from simpul_routing.domain.service_plan import Proposal, ServicePlan
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import (
    CancelReason,
    CaseEnd,
    DeclineReason,
    PlanEnd,
    ReferralOutcome,
    ReplanReason,
    Right,
    Service,
    StepReason,
    Urgency,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The agency accepted services."""


@dataclass(frozen=True, slots=True)
class Started:
    """The agency started services."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Services ended with one outcome."""

    outcome: ReferralOutcome


@dataclass(frozen=True, slots=True)
class Declined:
    """The agency declined services for one reason."""

    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Another agency was offered what was declined."""

    next_referral_id: UUID
    next_agency: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A replan withdrew services."""

    why: ReplanReason


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Services ended with their case or by a person."""

    why: CancelReason


ServiceChange: TypeAlias = Accepted | Started | Completed | Declined | Rerouted | Revoked | Cancelled
"""How services of a referral change; equal if it is in the same way."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """The service that another agency was offered in place of a declined one."""

    service_id: UUID
    reroute_count: int
    is_escalated_to_hub: bool


@dataclass(frozen=True, slots=True)
class ReferralOffered:
    """An agency was offered its first services of the case."""

    referral: Referral
    facts: ReferralFacts
    added: tuple[UUID, ...]
    """The offered services."""


@dataclass(frozen=True, slots=True)
class ReferralAmended:
    """A referral has new services, or those that stay have new facts, another urgency or another deadline."""

    referral: Referral
    facts: ReferralFacts
    added: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicesChanged:
    """Services of a referral changed; its agency is informed unless it is excluded from the case."""

    referral: Referral
    services: tuple[ReferralService, ...]
    change: ServiceChange
    informs_agency: bool = True
    replacements: Mapping[UUID, Replacement] = field(default_factory=dict)
    """Of rerouted services, by the id of the declined one."""


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    """The consent to services of a referral ended; its agency must stop processing for them and acknowledge it."""

    referral: Referral
    services: tuple[ReferralService, ...]
    acknowledge_by: datetime


@dataclass(frozen=True, slots=True)
class ClockStepTaken:
    """A step of a clock of some services of a referral fell due."""

    referral: Referral
    services: tuple[ReferralService, ...]
    clock: ClockName
    step: Step
    due_at: datetime
    """The deadline of the clock."""
    targets: tuple[str, ...]
    informs_agency: bool = True
    reason: StepReason = StepReason.DEADLINE
    """NOBODY_REACHED before its time."""


@dataclass(frozen=True, slots=True)
class DeadlineMet:
    """What a clock of some services waited for was done, and no other event shows it."""

    referral: Referral
    services: tuple[ReferralService, ...]
    clock: ClockName


@dataclass(frozen=True, slots=True)
class RightsChanged:
    """Some rights of the case have a new state."""

    rights: Ledger


@dataclass(frozen=True, slots=True)
class CaseClosed:
    """The case was terminated."""

    end: CaseEnd


@dataclass(frozen=True, slots=True)
class CaseReopened:
    """The case continues."""


@dataclass(frozen=True, slots=True)
class CaseMerged:
    """The case continues as another one."""

    into: UUID


@dataclass(frozen=True, slots=True)
class CaseVoided:
    """The case was entered in error."""


@dataclass(frozen=True, slots=True)
class CaseReplanned:
    """The case was decided again."""

    why: ReplanReason
    agreement: str
    urgency: Urgency
    added: Sequence[ReferralService]
    withdrawn: Sequence[ReferralService]
    kept: Sequence[ReferralService]


@dataclass(frozen=True, slots=True)
class AgencyExcluded:
    """An agency was excluded from the case (R6)."""

    agency: str


@dataclass(frozen=True, slots=True)
class AgencyCleared:
    """A person decided that an agency, which a report names, is not too close to the suspect."""

    case_id: UUID
    """The case that the report opened; it may be merged into that of the decision."""
    agency: str
    namings: int


@dataclass(frozen=True, slots=True)
class QuestionSent:
    """The case manager asks the reporting person something."""

    question_id: UUID
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExclusionSuggested:
    """A person has to decide about suggested exclusions; `step` is 0 for the request itself."""

    review: ExclusionReview
    urgency: Urgency
    pending: frozenset[str]
    step: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExclusionDecided:
    """Nothing about suggested exclusions is left to decide, or another agency decides."""

    review: ExclusionReview
    urgency: Urgency
    informs_agency: bool


@dataclass(frozen=True, slots=True)
class PlanProposed:
    """A person has to decide about a service plan; `step` is 0 for the proposal itself."""

    plan: ServicePlan
    services: Proposal
    urgencies: Mapping[Service, Urgency]
    rights: Mapping[Service, Right]
    step: int
    targets: tuple[str, ...]

    @property
    def urgency(self) -> Urgency:
        """The highest urgency of the services."""
        return min(self.urgencies.values(), key=list(Urgency).index)


@dataclass(frozen=True, slots=True)
class PlanDecided:
    """Nothing about a service plan is left to decide, or another agency decides."""

    plan: ServicePlan
    end: PlanEnd
    urgency: Urgency
    informs_agency: bool


Published: TypeAlias = (
    ReferralOffered
    | ReferralAmended
    | ServicesChanged
    | ConsentWithdrawn
    | ClockStepTaken
    | DeadlineMet
    | RightsChanged
    | CaseClosed
    | CaseReopened
    | CaseMerged
    | CaseVoided
    | CaseReplanned
    | AgencyExcluded
    | ExclusionSuggested
    | ExclusionDecided
    | PlanProposed
    | PlanDecided
    | QuestionSent
    | AgencyCleared
)


@dataclass(frozen=True, slots=True)
class Pending:
    """Something to publish about a case, and the message that caused it."""

    case_id: UUID
    content: Published
    cause: UUID | None = None

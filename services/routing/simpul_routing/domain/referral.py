"""A referral as it is offered, as it is stored, and its transitions."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.lifecycle import ReferralState, Standing
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, Service, Urgency


@dataclass(frozen=True, slots=True)
class OutstandingService:
    """A service that still needs an agency, and whether as lead or support."""

    service: Service
    role: ReferralRole


@dataclass(frozen=True, slots=True)
class NewReferral:
    """A referral to offer."""

    referral_id: UUID
    case_id: UUID
    agency: str
    service: Service
    role: ReferralRole
    urgency: Urgency
    answer_by: datetime
    agreement: str
    clauses: bytes
    """Encrypted; see `stored_facts`."""
    clocks: tuple[ReferralClock, ...]
    reroute_count: int = 0
    rerouted_from: UUID | None = None
    escalated_service: OutstandingService | None = None
    by_hand: bool = False
    """A person offered it, or it comes from a merged duplicate: new facts alone do not withdraw it."""


@dataclass(frozen=True, slots=True)
class StoredReferral:
    """A referral as routing stored it."""

    referral_id: UUID
    case_id: UUID
    service: Service
    role: ReferralRole
    answer_by: datetime
    agreement: str
    clauses: bytes
    """Encrypted; see `stored_facts`."""
    reroute_count: int
    rerouted_from: UUID | None
    standing: Standing
    outcome: ReferralOutcome | None = None
    version: int = 1
    escalated_service: OutstandingService | None = None
    by_hand: bool = False
    ended_at: datetime | None = None

    @property
    def outstanding_service(self) -> OutstandingService:
        """Its own service, or for a manual triage the service that was escalated to the hub."""
        return self.escalated_service or OutstandingService(self.service, self.role)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a referral's state, by whom and why."""

    referral: StoredReferral
    after: ReferralState
    actor: str
    cause: UUID
    reason: str = ""
    outcome: ReferralOutcome | None = None
    note: bytes = b""
    """What a person wrote, encrypted; see `stored_facts`."""

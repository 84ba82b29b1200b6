"""A referral as it is offered, as it stands, and as it goes from one state to the next."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from simpul_routing.domain.clocks import Running
from simpul_routing.domain.lifecycle import ReferralState, Standing
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, Service, Urgency


@dataclass(frozen=True, slots=True)
class Raised:
    """What a manual triage is about that a hand-over led to: the case manager decides, the service is still owed."""

    service: Service
    role: ReferralRole


@dataclass(frozen=True, slots=True)
class NewReferral:
    """A referral that is to be offered."""

    referral_id: UUID
    case_id: UUID
    agency: str
    service: Service
    role: ReferralRole
    urgency: Urgency
    answer_by: datetime
    agreement: str
    clauses: bytes
    """Locked; see `stored_facts`."""
    clocks: tuple[Running, ...]
    reroute_count: int = 0
    rerouted_from: UUID | None = None
    raised: Raised | None = None
    by_hand: bool = False
    """A person asked for it, or it came from a merged twin: no new facts take it back."""


@dataclass(frozen=True, slots=True)
class StoredReferral:
    """A referral as it stands."""

    referral_id: UUID
    case_id: UUID
    service: Service
    role: ReferralRole
    answer_by: datetime
    agreement: str
    clauses: bytes
    """Locked; see `stored_facts`."""
    reroute_count: int
    rerouted_from: UUID | None
    standing: Standing
    outcome: ReferralOutcome | None = None
    version: int = 1
    raised: Raised | None = None
    by_hand: bool = False
    ended_at: datetime | None = None

    @property
    def owed(self) -> Raised:
        """The service and role that it stands for: its own, or what was raised to the case manager with it."""
        return self.raised or Raised(self.service, self.role)


@dataclass(frozen=True, slots=True)
class Move:
    """A referral goes from one state to the next, and why."""

    referral: StoredReferral
    after: ReferralState
    actor: str
    cause: UUID
    reason: str = ""
    outcome: ReferralOutcome | None = None
    note: bytes = b""
    """What a person wrote, locked; see `stored_facts`."""

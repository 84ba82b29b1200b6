"""A referral with its services, and how a service changes when it reaches a new state."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from simpul_agreement.model import ClockName
from simpul_routing.domain.clocks import STOPPED_BY, ReferralClock
from simpul_routing.domain.lifecycle import IMPLIED_REPLIES, NOT_ACCEPTED, TERMINAL, ReplyKind, ServiceState, Standing
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, Service, Urgency

_RECEIPTS: Final = frozenset({ServiceState.DELIVERED, ServiceState.SEEN})
_URGENCIES: Final = tuple(Urgency)
_ROLES: Final = tuple(ReferralRole)
_STATES: Final = (
    ServiceState.OFFERED,
    ServiceState.DELIVERED,
    ServiceState.SEEN,
    ServiceState.DECLINED,
    ServiceState.UNATTENDED,
    ServiceState.ACCEPTED,
    ServiceState.SCHEDULED,
    ServiceState.IN_PROGRESS,
    ServiceState.COMPLETED,
    ServiceState.REROUTED,
    ServiceState.CANCELLED,
    ServiceState.REVOKED,
    ServiceState.ENTERED_IN_ERROR,
)
"""Of the services of a referral, the one that somebody has to act on first gives the state of the referral."""


@dataclass(frozen=True, slots=True)
class OutstandingService:
    """A service that still needs an agency, and whether as lead or support."""

    service: Service
    role: ReferralRole


@dataclass(frozen=True, slots=True)
class ReferralService:
    """One service asked of one agency; each is answered, served and completed by itself."""

    service_id: UUID
    referral_id: UUID
    position: int
    """The services of a referral are numbered as they are added to it, from 1."""
    agency: str
    service: Service
    role: ReferralRole
    answer_by: datetime
    agreement: str
    clauses: Sequence[str] = field(repr=False, compare=False)
    """The clauses that require it; stored encrypted, and decrypted when they are needed first."""
    standing: Standing
    clocks: Mapping[ClockName, ReferralClock]
    reroute_count: int = 0
    rerouted_from: UUID | None = None
    """The `service_id` that it replaces."""
    escalated_service: OutstandingService | None = None
    """Of a manual triage: the service that was escalated to the hub, still outstanding."""
    by_hand: bool = False
    """A person offered it, or it comes from a merged duplicate: new facts alone do not withdraw it."""
    outcome: ReferralOutcome | None = None
    version: int = 1
    delivered_at: datetime | None = None
    seen_at: datetime | None = None
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    """When the service first started; first aid counts."""
    ended_at: datetime | None = None

    @property
    def is_declined(self) -> bool:
        """Whether it was declined and no agency is left to reroute it to."""
        return self.standing.state is ServiceState.DECLINED

    @property
    def is_with_agency(self) -> bool:
        """Whether its agency still has to act."""
        return self.standing.is_open and not self.is_declined

    @property
    def outstanding_service(self) -> OutstandingService:
        """Its own service, or for a manual triage the service that was escalated to the hub."""
        return self.escalated_service or OutstandingService(self.service, self.role)

    @property
    def own_clocks(self) -> list[ReferralClock]:
        """Its clocks without that of a withdrawn consent, which stays with the agency when the service moves on."""
        return [clock for name, clock in self.clocks.items() if name in STOPPED_BY]

    @property
    def implied_replies(self) -> frozenset[ReplyKind]:
        """Replies that are no longer outstanding."""
        implied = IMPLIED_REPLIES.get(self.standing.state, frozenset())
        return implied | {ReplyKind.STARTED} if self.standing.has_begun else implied

    def in_state(self, state: ServiceState, now: datetime, outcome: ReferralOutcome | None = None) -> "ReferralService":
        """Returns the service in a new state, with the time at which it reached it first."""
        has_first_aid = self.standing.has_first_aid or state is ServiceState.IN_PROGRESS
        return replace(
            self,
            standing=replace(self.standing, state=state, has_first_aid=has_first_aid),
            # Receiving or opening a referral changes nothing that a person decides on.
            version=self.version if state in _RECEIPTS else self.version + 1,
            outcome=outcome or self.outcome,
            delivered_at=self.delivered_at or (now if state is ServiceState.DELIVERED else None),
            seen_at=self.seen_at or (now if state is ServiceState.SEEN else None),
            accepted_at=self.accepted_at or (now if state is ServiceState.ACCEPTED else None),
            started_at=self.started_at or (now if state is ServiceState.IN_PROGRESS else None),
            ended_at=now if state in TERMINAL else self.ended_at,
        )

    def with_clocks(self, clocks: Iterable[ReferralClock]) -> "ReferralService":
        """Returns the service with clocks added or changed."""
        return replace(self, clocks={**self.clocks, **{clock.clock: clock for clock in clocks}})

    def stop_clocks(self, now: datetime, kind: ReplyKind | None = None) -> "ReferralService":
        """Returns the service with the clocks stopped that a reply stops, or that its end stops without a reply."""
        stopped = [
            clock.stop(now)
            for name, clock in self.clocks.items()
            if not clock.is_stopped and name in STOPPED_BY and (kind is None or kind in STOPPED_BY[name])
        ]
        return self.with_clocks(stopped) if stopped else self

    def amend(self, urgency: Urgency, answer_by: datetime, clocks: Iterable[ReferralClock]) -> "ReferralService":
        """Returns the service after a replan that keeps it."""
        amended = self.with_clocks(clocks)
        if (urgency, answer_by) == (self.standing.urgency, self.answer_by):
            return amended
        standing = replace(self.standing, urgency=urgency)
        return replace(amended, standing=standing, answer_by=answer_by, version=self.version + 1)


def sort_services(services: Iterable[ReferralService]) -> list[ReferralService]:
    """Sorts services as messages list them: the most urgent first, leads before supports, then as they were added."""
    return sorted(services, key=_rank)


def _rank(service: ReferralService) -> tuple[int, int, int]:
    return _URGENCIES.index(service.standing.urgency), _ROLES.index(service.role), service.position


def find_highest_urgency(services: Iterable[ReferralService]) -> Urgency:
    """Returns the highest urgency of some services."""
    return min((service.standing.urgency for service in services), key=_URGENCIES.index)


def find_answer_time(services: Sequence[ReferralService]) -> datetime:
    """Returns the earliest deadline of the services that await an answer, or of all if none does."""
    awaiting = [service.answer_by for service in services if service.standing.state in NOT_ACCEPTED]
    return min(awaiting or [service.answer_by for service in services])


def find_referral_state(states: Iterable[ServiceState]) -> ServiceState:
    """Returns the state of a referral by those of its services: that on which somebody has to act first."""
    return min(states, key=_STATES.index)


@dataclass(frozen=True, slots=True)
class Referral:
    """What practice calls a surat rujukan: one case, one agency, and the services asked of it."""

    referral_id: UUID
    case_id: UUID
    agency: str
    services: Mapping[UUID, ReferralService]
    offered_at: datetime | None = None
    """None while the agency was offered nothing: no agency may receive the services that it holds."""

    @property
    def services_with_agency(self) -> list[ReferralService]:
        """The services that the agency still has to act on, sorted."""
        return sort_services(service for service in self.services.values() if service.is_with_agency)

    @property
    def answer_by(self) -> datetime | None:
        """When the next answer is due; None if the agency has nothing left to do."""
        current = self.services_with_agency
        return find_answer_time(current) if current else None

    def with_service(self, service: ReferralService) -> "Referral":
        """Returns the referral with a service added or changed."""
        return replace(self, services={**self.services, service.service_id: service})

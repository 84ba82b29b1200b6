"""The service plan of a case: services that the case manager confirms after the assessment, before they are offered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.clocks import ReferralClock
from simpul_schema.vocabulary import ReferralRole, Service

Proposal = tuple[PlannedReferral, ...]
"""The services of a plan, leads and supports."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A proposal that the people of one agency decide about; it follows the facts until they do."""

    referral_id: UUID
    """The reference that people quote, as they quote that of a referral."""
    case_id: UUID
    agency: str
    """Empty if no agency is left to decide."""
    clock: ReferralClock
    is_sent_at_deadline: bool
    read_services: Callable[[], Proposal] = field(repr=False, compare=False)
    """Decrypts the services when they are needed first: they reveal what happened to the child."""

    @property
    def services(self) -> Proposal:
        """The proposed services."""
        return self.read_services()

    def with_services(self, services: Proposal) -> "ServicePlan":
        """Returns the plan with other services."""
        return replace(self, read_services=lambda: services)


@dataclass(frozen=True, slots=True)
class AddedService:
    """A service that a person adds to a plan, as lead."""

    service: Service
    agency: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """How a person edits a plan before it is confirmed."""

    left_out: Mapping[Service, str] = field(default_factory=dict)
    """Service -> the reason why the child does not get it."""
    agencies: Mapping[Service, str] = field(default_factory=dict)
    """Service -> the agency that leads it instead of the proposed one."""
    added: Sequence[AddedService] = ()

    @property
    def services(self) -> frozenset[Service]:
        """The proposed services that are changed."""
        return frozenset(self.left_out) | frozenset(self.agencies)


def edit_proposal(proposal: Iterable[PlannedReferral], changes: PlanChanges) -> Proposal:
    """Returns the services of a plan after a person edited it.

    A service that is left out has no supports either, and an agency that leads a service no longer supports it.
    """
    edited = []
    for one in proposal:
        chosen = changes.agencies.get(one.service, "")
        if one.service in changes.left_out or (one.role is ReferralRole.SUPPORT and one.agency == chosen):
            continue
        edited.append(replace(one, agency=chosen) if chosen and one.role is ReferralRole.LEAD else one)
    return tuple(edited)


def without_service(proposal: Iterable[PlannedReferral], service: Service, agency: str, role: ReferralRole) -> Proposal:
    """Returns a proposal without what a person has offered by hand: the lead of the service, or the support."""
    return tuple(
        one
        for one in proposal
        if one.service is not service
        or (one.agency != agency and (one.role is ReferralRole.SUPPORT or role is ReferralRole.SUPPORT))
    )

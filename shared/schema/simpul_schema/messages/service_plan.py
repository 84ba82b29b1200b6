"""Events of routing about the service plan of a case."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.catalog import ANY_AGENCY
from simpul_schema.envelope import ContractModel, Event, EventData, Instant, SectionContent, Sections
from simpul_schema.vocabulary import PlanEnd, ReferralRole, Right, Service, Urgency


class ProposedService(ContractModel):
    """One service that is offered when the plan is confirmed."""

    service: Service = Field(description="the service that the child needs")
    right: Right = Field(description="the right of the child that it serves")
    agency: str = Field(description="code of the agency that it is offered to")
    role: ReferralRole = Field(description="whether that agency leads the service or supports it")
    urgency: Urgency = Field(description="urgency of the service")
    clauses: tuple[str, ...] = Field(description="clauses of the agreement that require it")


class ProposedPlan(SectionContent):
    """The proposed services (tier T1), sealed to the agency that decides in the section `plan`."""

    SECTION: ClassVar[str] = "plan"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    services: tuple[ProposedService, ...] = Field(description="the services, those that lead first")


class ReferralPlanProposedData(EventData):
    """A proposed service plan; the case manager confirms or edits it.

    The services are in the section `plan`, sealed to the agency that decides. A later event with the same reference
    replaces the proposal.
    """

    referral_id: UUID = Field(description="random reference of the plan; it has no service to accept")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that manages the case; empty if none is left")
    urgency: Urgency = Field(description="highest urgency of the proposed services")
    confirm_by: Instant = Field(description="the plan is due by then, UTC")
    is_sent_at_deadline: bool = Field(description="whether the services are offered at the deadline if nobody decides")
    service_count: int = Field(ge=1, description="number of proposed services")
    step: int = Field(ge=0, le=200, description="percentage of the time that has passed: 0, 50, 100 or 200")
    escalation_targets: tuple[str, ...] = Field(description="codes of the parties to notify")


class ReferralPlanProposedV1(Event):
    """Sent when a service plan awaits a decision, when it changes, and as its deadline approaches and passes."""

    WIRE_NAME: ClassVar[str] = "referral.plan_proposed.v1"
    SECTIONS: ClassVar[Sections] = (ProposedPlan,)
    type: Literal["referral.plan_proposed.v1"] = "referral.plan_proposed.v1"
    data: ReferralPlanProposedData


class ReferralPlanDecidedData(EventData):
    """A service plan that no longer awaits a decision."""

    referral_id: UUID = Field(description="random reference of the plan")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that had to decide; empty if none was left")
    end: PlanEnd = Field(description="how it ended")
    decided_at: Instant = Field(description="when, UTC")


class ReferralPlanDecidedV1(Event):
    """Sent when nothing is left to decide about a service plan, or another agency decides."""

    WIRE_NAME: ClassVar[str] = "referral.plan_decided.v1"
    type: Literal["referral.plan_decided.v1"] = "referral.plan_decided.v1"
    data: ReferralPlanDecidedData

"""`scenarios.yaml`: whole reports with the decisions that they must lead to."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from simpul_agreement.files.clauses import facts_schema
from simpul_agreement.files.values import Written, WrittenTime, Years
from simpul_agreement.model import (
    Basis,
    Section,
)
from simpul_schema.vocabulary import Right, RightState, Service, Urgency


class WrittenScenario(Written):
    """A complete report and the decision that it must lead to."""

    scenario: str = Field(min_length=1)
    report: Annotated[dict[str, str], WithJsonSchema(facts_schema(in_conditions=False))] = Field(
        description="fact -> value; omitted facts are unknown"
    )
    kelurahan: str = Field(default="", description="name of the kelurahan of residence")
    centre: str = Field(default="", description="code of the complaint centre")
    excluded: list[str] = Field(default_factory=list, description="codes of agencies that receive nothing")
    urgency: Urgency
    answer: WrittenTime
    mediation: Literal["locked", "open"]
    basis: Basis
    referrals: dict[Service, list[str]] = Field(description="service -> lead, then supporting agencies")
    planned: list[Service] | None = Field(
        default=None, description="services that await the service plan, in the order of the clauses; all others do not"
    )
    urgencies: dict[Service, Urgency] = Field(
        default_factory=dict, description="service -> its urgency; services that are omitted are not checked"
    )
    service_plan: WrittenTime | None = Field(default=None, description="the time in which the plan is confirmed")
    plan_at_deadline: Literal["send", "escalate"] | None = Field(
        default=None, description="what happens at that time to a plan that nobody confirmed"
    )
    suspect_served_by: str = ""
    rights: dict[Right, RightState] = Field(
        default_factory=dict, description="right -> state at triage; rights that are omitted are not checked"
    )
    next_agency: dict[Service, str] = Field(
        default_factory=dict, description="service -> next agency when the lead declines"
    )
    clocks: dict[str, WrittenTime] = Field(
        default_factory=dict, description="clock, clock/service or planned/clock -> length"
    )
    escalation: dict[Literal["50", "100", "200"], list[str]] = Field(
        default_factory=dict, description="step -> parties that are informed"
    )
    discloses: dict[Service, list[Section]] = Field(default_factory=dict, description="service -> sections")
    keeps: dict[Section, Years] = Field(default_factory=dict, description="section -> years")


class ScenariosFile(Written):
    """`scenarios.yaml`."""

    scenarios: list[WrittenScenario]

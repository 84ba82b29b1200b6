"""The `then` of a clause: one class for each kind of effect."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from simpul_agreement.files.values import Selector, Selectors, Written, WrittenText, WrittenTime, Years
from simpul_agreement.languages import Message
from simpul_agreement.model import (
    Basis,
    BasisIs,
    ClockName,
    ClockRuns,
    Disclosure,
    Effect,
    EscalationLevel,
    Mediation,
    Phase,
    PlanDeadline,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Step,
    SuspectServedBy,
    UrgencyIs,
)
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import ActorRole, Right, Service, Urgency


def _listed(selectors: Selectors) -> tuple[str, ...]:
    return (selectors,) if isinstance(selectors, str) else tuple(selectors)


class ThenService(Written):
    """A service is needed."""

    service: Service
    right: Right
    lead: Selectors = Field(
        description="who leads; the next one in the list where the one before is excluded or cannot"
    )
    support: list[Selector] = Field(default_factory=list)
    phase: Phase = Field(
        default=Phase.IMMEDIATE,
        description="immediate: offered at once; planned: part of the service plan that the case manager confirms",
    )
    max_urgency: Urgency | None = Field(
        default=None, description="the highest urgency of this service; that of the case when omitted"
    )

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return ServiceNeeded(
            self.service, self.right, _listed(self.lead), tuple(self.support), self.phase, self.max_urgency
        )


class ThenNotNeeded(Written):
    """A right needs no service now."""

    right: Right
    not_needed: WrittenText = Field(description="the reason that the rights ledger shows")
    reassess: bool = Field(default=False, description="the right stays unanswered until somebody has asked the child")

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return RightNotNeeded(self.right, self.not_needed.to_text(), self.reassess)


class ThenUrgency(Written):
    """How urgent the case is."""

    urgency: Urgency

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return UrgencyIs(self.urgency)


class ThenClock(Written):
    """A deadline."""

    clock: ClockName
    within: WrittenTime
    service: Service | None = Field(default=None, description="for this service only; for the whole case when omitted")
    since: WrittenText | None = Field(
        default=None, description="the event that starts the clock; the referral when omitted"
    )
    phase: Phase | None = Field(default=None, description="for the services of this phase only")

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        since = self.since.to_text() if self.since else None
        return ClockRuns(self.clock, self.within.to_duration(), self.service, since, self.phase)


class ThenPlanDeadline(Written):
    """The time in which the case manager confirms the service plan."""

    service_plan: WrittenTime
    at_deadline: Literal["send", "escalate"] = Field(
        default="escalate", description="whether an unconfirmed plan is sent at its deadline, or only escalated"
    )

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return PlanDeadline(self.service_plan.to_duration(), self.at_deadline == "send")


class ThenMediation(Written):
    """Whether anybody may mediate, and who may open a mediation."""

    mediation: Literal["locked", "open"]
    opened_by: list[ActorRole] = Field(
        default_factory=list, description="roles of the people who may open a mediation; required if it is open"
    )

    @model_validator(mode="after")
    def _names_who_opens(self) -> Self:
        if (self.mediation == "open") is not bool(self.opened_by):
            problem, remedy = _OPENED_BY[self.mediation]
            kind = "unreadable"
            raise PydanticCustomError(kind, kind, {"problem": problem, "remedy": remedy})
        return self

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return Mediation(self.mediation == "locked", frozenset(self.opened_by))


_OPENED_BY: Final = {
    "open": (
        Message(gettext_noop("a mediation that is open does not say who may open it")),
        Message(gettext_noop("name the roles: opened_by: [case_manager]")),
    ),
    "locked": (
        Message(gettext_noop("a locked mediation names somebody who may open it")),
        Message(gettext_noop("delete opened_by, or write mediation: open")),
    ),
}


class ThenBasis(Written):
    """The basis on which identity is disclosed to an agency that accepted."""

    basis: Basis

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return BasisIs(self.basis)


class WrittenOwnBasis(Written):
    """The sections that an agency sees also where nobody has consented, and on which basis."""

    basis: Literal[Basis.LEGAL_DUTY, Basis.VITAL_INTEREST, Basis.PUBLIC_TASK] = Field(
        description="a basis of its own, which no consent replaces and no withdrawal ends"
    )
    sections: list[Section] = Field(min_length=1, description="some of the sections of the service")


class ThenDisclosure(Written):
    """The sections that an agency sees after it accepted a service."""

    disclose: Service
    sections: list[Section]
    without_consent: WrittenOwnBasis | None = Field(
        default=None, description="what protects the child, and how to reach whoever has to be asked for consent"
    )

    @model_validator(mode="after")
    def _needs_what_it_discloses(self) -> Self:
        if self.without_consent and not set(self.without_consent.sections) <= set(self.sections):
            problem = Message(gettext_noop("without_consent names a section that the service does not disclose"))
            remedy = Message(gettext_noop("name only sections of the same clause"))
            kind = "unreadable"
            raise PydanticCustomError(kind, kind, {"problem": problem, "remedy": remedy})
        return self

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        own = self.without_consent
        return Disclosure(
            self.disclose,
            frozenset(self.sections),
            frozenset(own.sections) if own else frozenset(),
            own.basis if own else None,
        )


class ThenEscalation(Written):
    """Who is informed when this percentage of a deadline has passed."""

    escalation_level: Literal["50", "100", "200"]
    to: Selectors = Field(
        description="addressee, level_above or a party; the first one that is not excluded is informed"
    )
    also: list[Selector] = Field(default_factory=list, description="parties that are informed as well")

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return EscalationLevel(Step(self.escalation_level), _listed(self.to), tuple(self.also))


class ThenRetention(Written):
    """How long a section is kept after the case ended."""

    retain: Section
    years: Years

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return Retention(self.retain, self.years)


class ThenSuspect(Written):
    """Who accompanies a suspect who is a child."""

    suspect_served_by: Selectors

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return SuspectServedBy(_listed(self.suspect_served_by))


_THEN_KEYS = (
    "not_needed",
    "service",
    "urgency",
    "clock",
    "mediation",
    "basis",
    "disclose",
    "escalation_level",
    "retain",
    "suspect_served_by",
    "service_plan",
)


def _kind_of_then(then: Any) -> str | None:
    """The key that identifies the kind of a `then`; `clock` first, because a clock may name a service too."""
    keys = set(then) if isinstance(then, Mapping) else set()
    if "clock" in keys:
        return "clock"
    return next((key for key in _THEN_KEYS if key in keys), None)


Then = Annotated[
    Annotated[ThenService, Tag("service")]
    | Annotated[ThenNotNeeded, Tag("not_needed")]
    | Annotated[ThenUrgency, Tag("urgency")]
    | Annotated[ThenClock, Tag("clock")]
    | Annotated[ThenMediation, Tag("mediation")]
    | Annotated[ThenBasis, Tag("basis")]
    | Annotated[ThenDisclosure, Tag("disclose")]
    | Annotated[ThenEscalation, Tag("escalation_level")]
    | Annotated[ThenRetention, Tag("retain")]
    | Annotated[ThenSuspect, Tag("suspect_served_by")]
    | Annotated[ThenPlanDeadline, Tag("service_plan")],
    Discriminator(
        _kind_of_then,
        custom_error_type="then",
        custom_error_message="has no effect",
        custom_error_context={"keys": ", ".join(_THEN_KEYS)},
    ),
]

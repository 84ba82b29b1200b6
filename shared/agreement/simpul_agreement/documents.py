"""The structure of the YAML files. The JSON schemas for editors are generated from these classes."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from simpul_agreement.facts import FACTS, URGENCY, AgencyKind, Fact, TimeBand
from simpul_agreement.model import (
    ESCALATION_SELECTORS,
    SELECTORS,
    Basis,
    BasisIs,
    BilingualText,
    ClockName,
    ClockRuns,
    Disclosure,
    Effect,
    EscalationLevel,
    Mediation,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    Source,
    Status,
    Step,
    SuspectServedBy,
    UrgencyIs,
    Within,
)
from simpul_schema.vocabulary import Right, RightState, Service, Urgency

ClauseId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]*$", description="never changes and is never reused")]
_SELECTOR_SCHEMA: dict[str, Any] = {
    "anyOf": [{"enum": [*SELECTORS, *ESCALATION_SELECTORS]}, {"type": "string", "description": "code of a party"}]
}
Selector = Annotated[str, WithJsonSchema(_SELECTOR_SCHEMA)]
Selectors = Selector | Annotated[list[Selector], Field(min_length=1)]

_YEARS: Final = range(2000, 2200)
_TIME_OF_DAY: Final = r"^([01]\d|2[0-3]):[0-5]\d$"


def _refuse(value: object, problem: str, remedy: str) -> PydanticCustomError:
    shown = (value if isinstance(value, str) else repr(value))[:60]
    details = {"shown": shown, "problem": problem, "remedy": remedy}
    return PydanticCustomError("unreadable", "{shown} {problem}", details)


def _day(value: object) -> date:
    """Reads a date; refuses a number, which pydantic would take for seconds since 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and re.fullmatch(r"[0-9-]{10}", value) else None
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        remedy = f"write year-month-day, from {_YEARS[0]} to {_YEARS[-1]}, such as 2026-12-25"
        raise _refuse(value, "is not a date", remedy)
    return day


def _moment(value: object) -> datetime:
    """Reads a time with its zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in _YEARS:
        remedy = "write date, time and zone, such as 2026-12-01T00:00:00+07:00"
        raise _refuse(value, "is not a time with a zone", remedy)
    return moment


def _time_of_day(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_TIME_OF_DAY, value):
        raise _refuse(value, "is not a time of day", 'write 00:00 to 23:59 in quotes, such as "07:30"')
    return value


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
Years = Annotated[int, Field(ge=1, le=100, strict=True)]


def _facts_schema(*, in_conditions: bool) -> dict[str, Any]:
    """The schema that lets an editor offer the facts and the values of each."""

    def values(fact: Fact) -> dict[str, Any]:
        listed = {"type": "array", "minItems": 1, "items": {"enum": list(fact.values)}}
        if fact.holds_many and in_conditions:
            return {"type": "object", "additionalProperties": False, "properties": {"any": listed, "none": listed}}
        if fact.holds_many:
            # Kinds that hold together are joined by +.
            kind = f"({'|'.join(fact.values)})"
            joined = {"type": "string", "pattern": rf"^{kind}(\+{kind})*$"}
            return {"anyOf": [{"enum": list(fact.values)}, joined, {"type": "array", "items": joined}]}
        return listed if in_conditions else {"anyOf": [{"enum": list(fact.values)}, listed]}

    facts = (*FACTS, URGENCY) if in_conditions else FACTS
    properties = {fact.name: values(fact) for fact in facts}
    return {"type": "object", "additionalProperties": False, "properties": properties}


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WrittenText(_Written):
    """A text in both languages."""

    id: str = Field(min_length=1, description="Bahasa Indonesia")
    en: str = Field(min_length=1, description="English")

    def to_text(self) -> BilingualText:
        """The plain data of the domain."""
        return BilingualText(self.id, self.en)


class WrittenSource(_Written):
    """The source of a rule; a rule that no law gives has the status `project_default`."""

    title: str = Field(min_length=1, description="law, regulation or standard")
    article: str = Field(default="", description="article, paragraph")
    read: Day | None = Field(default=None, description="when it was read")
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> "WrittenSource":
        if self.status is not Status.PROJECT_DEFAULT and self.read is None:
            msg = "give in `read` the date on which the source was read"
            raise ValueError(msg)
        return self

    def to_source(self) -> Source:
        """The plain data of the domain."""
        return Source(self.title, self.article, self.read, self.status)


class Violences(_Written):
    """Kinds of violence: at least one of `any`, none of `none`."""

    any: list[str] = Field(default_factory=list)
    none: list[str] = Field(default_factory=list)


Values = str | list[str]
ExampleFacts = Annotated[dict[str, Values], WithJsonSchema(_facts_schema(in_conditions=False))]
"""Fact -> value, or a list of alternatives. Kinds of violence that occur together are joined by `+`."""


class Examples(_Written):
    """Reports to which the clause applies, and reports to which it does not; omitted facts are unknown."""

    applies: list[ExampleFacts] = Field(min_length=1)
    never: list[ExampleFacts] = Field(default_factory=list, alias="not")


class WrittenTime(_Written):
    """A length of time."""

    minutes: int = Field(default=0, ge=0, le=100_000, strict=True)
    hours: int = Field(default=0, ge=0, le=10_000, strict=True)
    days: int = Field(default=0, ge=0, le=1000, strict=True, description="calendar days of 24 hours, never paused")
    working_days: int = Field(default=0, ge=0, le=250, strict=True, description="without weekends and holidays")

    @model_validator(mode="after")
    def _has_a_length(self) -> "WrittenTime":
        if not (self.minutes or self.hours or self.days or self.working_days):
            msg = "give minutes, hours, days or working_days"
            raise ValueError(msg)
        return self

    def to_duration(self) -> Within:
        """The plain data of the domain."""
        return Within(timedelta(days=self.days, hours=self.hours, minutes=self.minutes), self.working_days)


def _listed(selectors: Selectors) -> tuple[str, ...]:
    return (selectors,) if isinstance(selectors, str) else tuple(selectors)


class ThenService(_Written):
    """A service is needed."""

    service: Service
    right: Right
    lead: Selectors = Field(
        description="who leads; the next one in the list where the one before is excluded or cannot"
    )
    support: list[Selector] = Field(default_factory=list)

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return ServiceNeeded(self.service, self.right, _listed(self.lead), tuple(self.support))


class ThenNotNeeded(_Written):
    """A right needs no service now."""

    right: Right
    not_needed: WrittenText = Field(description="the reason that the rights ledger shows")
    ask_again: bool = Field(default=False, description="the right stays unanswered until somebody has asked the child")

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return RightNotNeeded(self.right, self.not_needed.to_text(), self.ask_again)


class ThenUrgency(_Written):
    """How urgent the case is."""

    urgency: Urgency

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return UrgencyIs(self.urgency)


class ThenClock(_Written):
    """A deadline."""

    clock: ClockName
    within: WrittenTime
    service: Service | None = Field(default=None, description="for this service only; for the whole case when omitted")
    since: WrittenText | None = Field(
        default=None, description="the event that starts the clock; the referral when omitted"
    )

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return ClockRuns(
            self.clock, self.within.to_duration(), self.service, self.since.to_text() if self.since else None
        )


class ThenMediation(_Written):
    """Whether anybody may mediate."""

    mediation: Literal["locked", "open"]

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return Mediation(self.mediation == "locked")


class ThenBasis(_Written):
    """The basis on which identity is disclosed to an agency that accepted."""

    basis: Basis

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return BasisIs(self.basis)


class ThenDisclosure(_Written):
    """The sections that an agency sees after it accepted a service."""

    disclose: Service
    sections: list[Section]

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return Disclosure(self.disclose, frozenset(self.sections))


class ThenEscalation(_Written):
    """Who is informed when this percentage of a deadline has passed."""

    escalation_level: Literal["50", "100", "200"]
    to: Selectors = Field(
        description="addressee, level_above or a party; the first one that is not excluded is informed"
    )
    also: list[Selector] = Field(default_factory=list, description="parties that are informed as well")

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return EscalationLevel(Step(self.escalation_level), _listed(self.to), tuple(self.also))


class ThenRetention(_Written):
    """How long a section is kept after the case ended."""

    retain: Section
    years: Years

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return Retention(self.retain, self.years)


class ThenSuspect(_Written):
    """Who accompanies a suspect who is a child."""

    suspect_served_by: Selectors

    def to_effect(self) -> Effect:
        """The plain data of the domain."""
        return SuspectServedBy(_listed(self.suspect_served_by))


_THEN_KEYS = (
    "not_needed", "service", "urgency", "clock", "mediation", "basis", "disclose", "escalation_level", "retain",
    "suspect_served_by",
)  # fmt: skip


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
    | Annotated[ThenSuspect, Tag("suspect_served_by")],
    Discriminator(
        _kind_of_then,
        custom_error_type="then",
        custom_error_message=f"has no effect; it needs one of {', '.join(_THEN_KEYS)}",
    ),
]


class WrittenClause(_Written):
    """One sentence of the agreement."""

    id: ClauseId
    when: Annotated[dict[str, Values | Violences], WithJsonSchema(_facts_schema(in_conditions=True))] = Field(
        default_factory=dict, description="all must hold; a clause without conditions always applies"
    )
    then: Then
    source: WrittenSource | None = Field(default=None, description="the chapter's source when omitted")
    overrides: list[str] = Field(
        default_factory=list, description="clauses or chapters over which this one takes precedence"
    )
    valid_from: Day | None = None
    valid_until: Day | None = Field(default=None, description="the first day on which it is no longer valid")
    examples: Examples


class WrittenChapter(_Written):
    """Clauses under one heading."""

    chapter: ClauseId
    title: WrittenText
    source: WrittenSource | None = Field(default=None, description="for its clauses without a source")
    overrides: list[str] = Field(default_factory=list, description="for every clause in it")
    clauses: list[WrittenClause] = Field(min_length=1)


class ClausesFile(_Written):
    """A file in `clauses/`."""

    chapters: list[WrittenChapter]


def _weekdays(text: str) -> str:
    known = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    parts = text.split("-")
    if len(parts) > 2 or any(part not in known for part in parts) or sorted(parts, key=known.index) != parts:
        msg = "write one weekday, or a range that starts with the earlier day, such as monday-friday"
        raise ValueError(msg)
    return text


class WrittenBand(_Written):
    """Hours of the week."""

    band: TimeBand
    days: Annotated[str, AfterValidator(_weekdays)]
    start: TimeOfDay = Field(alias="from", pattern=_TIME_OF_DAY)
    end: TimeOfDay = Field(alias="until", pattern=_TIME_OF_DAY, description="00:00 is midnight")


class WrittenParty(_Written):
    """A party and what it promises."""

    party: str = Field(description="code of an agency, or satgas_of_residence, kecamatan_of_residence")
    kind: AgencyKind | None = Field(
        default=None, description="omitted for a party that is only informed and takes no referrals"
    )
    name: WrittenText
    mandate: WrittenText
    area: WrittenText
    services: list[Service] = Field(default_factory=list, description="services that it can lead")
    open_in: list[TimeBand] = Field(default_factory=list, description="when its office is open")
    duty_in: list[TimeBand] = Field(
        default_factory=list, description="when its duty contact can be reached outside office hours"
    )
    above: str = Field(default="", description="the party at the next escalation level; empty at the top")
    part_of: str = Field(default="", description="the party that it belongs to and with which it is excluded")
    signs: bool = Field(default=True, description="whether the agreement requires its signature")
    valid_from: Day | None = None
    valid_until: Day | None = None


class AgreementFile(_Written):
    """`agreement.yaml`."""

    version: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", description="year and month; the folder's name")
    title: WrittenText
    active_from: Moment = Field(description="with its zone; new cases follow this version from then on")
    hub: str = Field(description="the party that takes what no rule assigns")
    bands: list[WrittenBand] = Field(min_length=1)
    holidays: list[Day] = Field(default_factory=list)
    parties: list[WrittenParty] = Field(min_length=1)


class WrittenScenario(_Written):
    """A complete report and the decision that it must lead to."""

    scenario: str = Field(min_length=1)
    report: Annotated[dict[str, str], WithJsonSchema(_facts_schema(in_conditions=False))] = Field(
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
    suspect_served_by: str = ""
    rights: dict[Right, RightState] = Field(
        default_factory=dict, description="right -> state at triage; rights that are omitted are not checked"
    )
    next_agency: dict[Service, str] = Field(
        default_factory=dict, description="service -> next agency when the lead declines"
    )
    clocks: dict[str, WrittenTime] = Field(default_factory=dict, description="clock, or clock/service -> length")
    escalation: dict[Literal["50", "100", "200"], list[str]] = Field(
        default_factory=dict, description="step -> parties that are informed"
    )
    discloses: dict[Service, list[Section]] = Field(default_factory=dict, description="service -> sections")
    keeps: dict[Section, Years] = Field(default_factory=dict, description="section -> years")


class ScenariosFile(_Written):
    """`scenarios.yaml`."""

    scenarios: list[WrittenScenario]


FILES: dict[str, type[_Written]] = {
    "agreement": AgreementFile, "clauses": ClausesFile, "scenarios": ScenariosFile,
}  # fmt: skip

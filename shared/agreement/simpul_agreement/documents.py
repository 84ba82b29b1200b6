"""The form of the YAML files. Their JSON schemas, for an editor's completion, are made from these classes."""

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
    LADDER_SELECTORS,
    SELECTORS,
    Basis,
    BasisIs,
    ClockName,
    ClockRuns,
    Disclosure,
    Effect,
    Mediation,
    Retention,
    RightNotNeeded,
    Rung,
    Section,
    ServiceNeeded,
    Source,
    Status,
    Step,
    SuspectServedBy,
    UrgencyIs,
    Within,
    Words,
)
from simpul_schema.vocabulary import Right, RightState, Service, Urgency

ClauseId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]*$", description="stays with the clause for ever")]
_SELECTOR_SCHEMA: dict[str, Any] = {
    "anyOf": [{"enum": [*SELECTORS, *LADDER_SELECTORS]}, {"type": "string", "description": "code of a party"}]
}
Selector = Annotated[str, WithJsonSchema(_SELECTOR_SCHEMA)]
Selectors = Selector | Annotated[list[Selector], Field(min_length=1)]

_YEARS: Final = range(2000, 2200)
_TIME_OF_DAY: Final = r"^([01]\d|2[0-3]):[0-5]\d$"


def _unreadable(value: object, problem: str, remedy: str) -> PydanticCustomError:
    shown = (value if isinstance(value, str) else repr(value))[:60]
    details = {"shown": shown, "problem": problem, "remedy": remedy}
    return PydanticCustomError("unreadable", "{shown} {problem}", details)


def _day(value: object) -> date:
    """A day as it is written; a number is none, which pydantic would count as seconds since 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and re.fullmatch(r"[0-9-]{10}", value) else None
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        remedy = f"write year-month-day, from {_YEARS[0]} to {_YEARS[-1]}, such as 2026-12-25"
        raise _unreadable(value, "is no day of the calendar", remedy)
    return day


def _moment(value: object) -> datetime:
    """A moment as it is written, with its zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in _YEARS:
        remedy = "write day, time and zone, such as 2026-12-01T00:00:00+07:00"
        raise _unreadable(value, "is no moment with its zone", remedy)
    return moment


def _time_of_day(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_TIME_OF_DAY, value):
        raise _unreadable(value, "is no time of the day", 'write 00:00 to 23:59 in quotes, such as "07:30"')
    return value


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
Years = Annotated[int, Field(ge=1, le=100, strict=True)]


def _facts_schema(*, in_conditions: bool) -> dict[str, Any]:
    """What an editor offers: the facts, and for each its values."""

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


class WrittenWords(_Written):
    """The same in both languages."""

    id: str = Field(min_length=1, description="Bahasa Indonesia")
    en: str = Field(min_length=1, description="English")

    def read(self) -> Words:
        """As the domain has it."""
        return Words(self.id, self.en)


class WrittenSource(_Written):
    """Where a rule comes from; a rule no law gives says `project_default`."""

    title: str = Field(min_length=1, description="law, regulation or standard")
    article: str = Field(default="", description="article, paragraph")
    read: Day | None = Field(default=None, description="when it was read")
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> "WrittenSource":
        if self.status is not Status.PROJECT_DEFAULT and self.read is None:
            msg = "say in `read` on which day the source was read"
            raise ValueError(msg)
        return self

    def to_source(self) -> Source:
        """As the domain has it."""
        return Source(self.title, self.article, self.read, self.status)


class Violences(_Written):
    """Kinds of violence: at least one of `any`, none of `none`."""

    any: list[str] = Field(default_factory=list)
    none: list[str] = Field(default_factory=list)


Values = str | list[str]
Told = Annotated[dict[str, Values], WithJsonSchema(_facts_schema(in_conditions=False))]
"""Fact -> value, or several values: then each is meant by itself. Kinds of violence that hold together: a+b."""


class Examples(_Written):
    """Reports to which the clause applies, and to which it does not; what is left out is not known."""

    applies: list[Told] = Field(min_length=1)
    never: list[Told] = Field(default_factory=list, alias="not")


class WrittenTime(_Written):
    """A length of time."""

    minutes: int = Field(default=0, ge=0, le=100_000, strict=True)
    hours: int = Field(default=0, ge=0, le=10_000, strict=True)
    days: int = Field(default=0, ge=0, le=1000, strict=True, description="calendar days of 24 hours, never paused")
    working_days: int = Field(default=0, ge=0, le=250, strict=True, description="without weekends and holidays")

    @model_validator(mode="after")
    def _some(self) -> "WrittenTime":
        if not (self.minutes or self.hours or self.days or self.working_days):
            msg = "give minutes, hours, days or working_days"
            raise ValueError(msg)
        return self

    def read(self) -> Within:
        """As the domain has it."""
        return Within(timedelta(days=self.days, hours=self.hours, minutes=self.minutes), self.working_days)


def _listed(selectors: Selectors) -> tuple[str, ...]:
    return (selectors,) if isinstance(selectors, str) else tuple(selectors)


class ThenService(_Written):
    """A service is needed."""

    service: Service
    right: Right
    lead: Selectors = Field(description="who leads it; the next in the list where the one before may not or cannot")
    support: list[Selector] = Field(default_factory=list)

    def read(self) -> Effect:
        """As the domain has it."""
        return ServiceNeeded(self.service, self.right, _listed(self.lead), tuple(self.support))


class ThenNotNeeded(_Written):
    """A right asks for no service now."""

    right: Right
    not_needed: WrittenWords = Field(description="the reason, as it stands in the rights ledger")
    ask_again: bool = Field(default=False, description="not certain: the right stays unanswered until it was asked")

    def read(self) -> Effect:
        """As the domain has it."""
        return RightNotNeeded(self.right, self.not_needed.read(), self.ask_again)


class ThenUrgency(_Written):
    """How urgent the case is."""

    urgency: Urgency

    def read(self) -> Effect:
        """As the domain has it."""
        return UrgencyIs(self.urgency)


class ThenClock(_Written):
    """A deadline."""

    clock: ClockName
    within: WrittenTime
    service: Service | None = Field(default=None, description="only for this service; else for the whole case")
    since: WrittenWords | None = Field(default=None, description="what it begins with, where not with the referral")

    def read(self) -> Effect:
        """As the domain has it."""
        return ClockRuns(self.clock, self.within.read(), self.service, self.since.read() if self.since else None)


class ThenMediation(_Written):
    """Whether anybody may mediate."""

    mediation: Literal["locked", "open"]

    def read(self) -> Effect:
        """As the domain has it."""
        return Mediation(self.mediation == "locked")


class ThenBasis(_Written):
    """On which basis identity is disclosed to the agency that accepted."""

    basis: Basis

    def read(self) -> Effect:
        """As the domain has it."""
        return BasisIs(self.basis)


class ThenDisclosure(_Written):
    """What an agency that accepted a service gets to see."""

    disclose: Service
    sections: list[Section]

    def read(self) -> Effect:
        """As the domain has it."""
        return Disclosure(self.disclose, frozenset(self.sections))


class ThenRung(_Written):
    """Who is told when a clock has run so far, in percent."""

    ladder: Literal["50", "100", "200"]
    to: Selectors = Field(description="addressee, rung_above or a party; the first who may be told")
    also: list[Selector] = Field(default_factory=list, description="parties that are told besides")

    def read(self) -> Effect:
        """As the domain has it."""
        return Rung(Step(self.ladder), _listed(self.to), tuple(self.also))


class ThenRetention(_Written):
    """How long a section is kept after the case ended."""

    retain: Section
    years: Years

    def read(self) -> Effect:
        """As the domain has it."""
        return Retention(self.retain, self.years)


class ThenSuspect(_Written):
    """Who accompanies a suspect who is a child."""

    suspect_served_by: Selectors

    def read(self) -> Effect:
        """As the domain has it."""
        return SuspectServedBy(_listed(self.suspect_served_by))


_THEN_KEYS = ("not_needed", "service", "urgency", "clock", "mediation", "basis", "disclose", "ladder", "retain",
              "suspect_served_by")  # fmt: skip


def _kind_of_then(then: Any) -> str | None:
    """The key by which a `then` is told from the others; `clock` before `service`, which a clock may name too."""
    said = set(then) if isinstance(then, Mapping) else set()
    if "clock" in said:
        return "clock"
    return next((key for key in _THEN_KEYS if key in said), None)


Then = Annotated[
    Annotated[ThenService, Tag("service")]
    | Annotated[ThenNotNeeded, Tag("not_needed")]
    | Annotated[ThenUrgency, Tag("urgency")]
    | Annotated[ThenClock, Tag("clock")]
    | Annotated[ThenMediation, Tag("mediation")]
    | Annotated[ThenBasis, Tag("basis")]
    | Annotated[ThenDisclosure, Tag("disclose")]
    | Annotated[ThenRung, Tag("ladder")]
    | Annotated[ThenRetention, Tag("retain")]
    | Annotated[ThenSuspect, Tag("suspect_served_by")],
    Discriminator(
        _kind_of_then,
        custom_error_type="then",
        custom_error_message=f"says nothing; it needs one of {', '.join(_THEN_KEYS)}",
    ),
]


class WrittenClause(_Written):
    """One sentence of the agreement."""

    id: ClauseId
    when: Annotated[dict[str, Values | Violences], WithJsonSchema(_facts_schema(in_conditions=True))] = Field(
        default_factory=dict, description="all must hold; empty is always"
    )
    then: Then
    source: WrittenSource | None = Field(default=None, description="the chapter's when left out")
    overrides: list[str] = Field(default_factory=list, description="clauses or chapters that give way to this one")
    valid_from: Day | None = None
    valid_until: Day | None = Field(default=None, description="the first day on which it no longer counts")
    examples: Examples


class WrittenChapter(_Written):
    """Clauses under one heading."""

    chapter: ClauseId
    title: WrittenWords
    source: WrittenSource | None = Field(default=None, description="of its clauses that name none")
    overrides: list[str] = Field(default_factory=list, description="of every clause in it")
    clauses: list[WrittenClause] = Field(min_length=1)


class ClausesFile(_Written):
    """A file in `clauses/`."""

    chapters: list[WrittenChapter]


def _weekdays(words: str) -> str:
    known = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    parts = words.split("-")
    if len(parts) > 2 or any(part not in known for part in parts) or sorted(parts, key=known.index) != parts:
        msg = "write a weekday or two with a dash between, the earlier of the week first, such as monday-friday"
        raise ValueError(msg)
    return words


class WrittenBand(_Written):
    """Hours of the week."""

    band: TimeBand
    days: Annotated[str, AfterValidator(_weekdays)]
    start: TimeOfDay = Field(alias="from", pattern=_TIME_OF_DAY)
    end: TimeOfDay = Field(alias="until", pattern=_TIME_OF_DAY, description="00:00 is midnight")


class WrittenParty(_Written):
    """Who promises what."""

    party: str = Field(description="code of an agency, or satgas_of_residence, kecamatan_of_residence")
    kind: AgencyKind | None = Field(default=None, description="left out for those who are only told, never asked")
    name: WrittenWords
    mandate: WrittenWords
    area: WrittenWords
    services: list[Service] = Field(default_factory=list, description="what it can lead")
    open_in: list[TimeBand] = Field(default_factory=list, description="when somebody is in the office")
    duty_in: list[TimeBand] = Field(default_factory=list, description="when somebody on duty can be reached besides")
    above: str = Field(default="", description="the party of the next rung; empty at the top")
    part_of: str = Field(default="", description="the party it belongs to; where that is excluded, so is this")
    signs: bool = Field(default=True, description="whether the agreement needs its signature")
    valid_from: Day | None = None
    valid_until: Day | None = None


class AgreementFile(_Written):
    """`agreement.yaml`."""

    version: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", description="year and month; the folder's name")
    title: WrittenWords
    active_from: Moment = Field(description="with its zone; from then on new cases follow it")
    hub: str = Field(description="who gets what no rule places")
    bands: list[WrittenBand] = Field(min_length=1)
    holidays: list[Day] = Field(default_factory=list)
    parties: list[WrittenParty] = Field(min_length=1)


class WrittenScenario(_Written):
    """A whole report and what must come of it."""

    scenario: str = Field(min_length=1)
    report: Annotated[dict[str, str], WithJsonSchema(_facts_schema(in_conditions=False))] = Field(
        description="fact -> value; what is left out is not known"
    )
    kelurahan: str = Field(default="", description="name of the kelurahan of residence")
    centre: str = Field(default="", description="code of the complaint centre")
    excluded: list[str] = Field(default_factory=list, description="codes of agencies that receive nothing")
    urgency: Urgency
    answer: WrittenTime
    mediation: Literal["locked", "open"]
    basis: Basis
    referrals: dict[Service, list[str]] = Field(description="service -> its lead, then those who support it")
    suspect_served_by: str = ""
    rights: dict[Right, RightState] = Field(default_factory=dict, description="right -> its state at triage; some")
    hand_over: dict[Service, str] = Field(default_factory=dict, description="who follows when the lead declines")
    clocks: dict[str, WrittenTime] = Field(default_factory=dict, description="clock, or clock/service -> time; some")
    ladder: dict[Literal["50", "100", "200"], list[str]] = Field(default_factory=dict, description="step -> who; some")
    discloses: dict[Service, list[Section]] = Field(default_factory=dict, description="service -> sections; some")
    keeps: dict[Section, Years] = Field(default_factory=dict, description="section -> years; some")


class ScenariosFile(_Written):
    """`scenarios.yaml`."""

    scenarios: list[WrittenScenario]


FILES: dict[str, type[_Written]] = {
    "agreement": AgreementFile, "clauses": ClausesFile, "scenarios": ScenariosFile,
}  # fmt: skip

"""Scalars, texts and lengths of time, as they are written in every file."""

import json
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from simpul_agreement.deadlines import Within
from simpul_agreement.languages import Message
from simpul_agreement.languages import Message as _
from simpul_agreement.model import (
    ESCALATION_SELECTORS,
    SELECTORS,
    BilingualText,
    Source,
    Status,
)
from simpul_schema.translations import gettext_noop

ClauseId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]*$", description="never changes and is never reused")]
_SELECTOR_SCHEMA: dict[str, Any] = {
    "anyOf": [{"enum": [*SELECTORS, *ESCALATION_SELECTORS]}, {"type": "string", "description": "code of a party"}]
}
Selector = Annotated[str, WithJsonSchema(_SELECTOR_SCHEMA)]
Selectors = Selector | Annotated[list[Selector], Field(min_length=1)]

YEARS: Final = range(2000, 2200)
TIME_OF_DAY: Final = r"^([01]\d|2[0-3]):[0-5]\d$"


def _refuse(value: object, problem: str, remedy: Message) -> PydanticCustomError:
    """The error for a scalar that cannot be read; `problem` is a message about `{value}`."""
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    return PydanticCustomError(
        "unreadable", "unreadable", {"problem": Message(problem, value=shown[:60]), "remedy": remedy}
    )


def _day(value: object) -> date:
    """Reads a date; refuses a number, which pydantic would take for seconds since 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and re.fullmatch(r"[0-9-]{10}", value) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        first, last = YEARS[0], YEARS[-1]
        remedy = _("write year-month-day, from {first} to {last}, such as 2026-12-25", first=first, last=last)
        raise _refuse(value, gettext_noop("{value} is not a date"), remedy)
    return day


def _moment(value: object) -> datetime:
    """Reads a time with its zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        remedy = _("write date, time and zone, such as 2026-12-01T00:00:00+07:00")
        raise _refuse(value, gettext_noop("{value} is not a time with a zone"), remedy)
    return moment


def _time_of_day(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(TIME_OF_DAY, value):
        remedy = _('write 00:00 to 23:59 in quotes, such as "07:30"')
        raise _refuse(value, gettext_noop("{value} is not a time of day"), remedy)
    return value


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
Years = Annotated[int, Field(ge=1, le=100, strict=True)]


class Written(BaseModel):
    """A mapping of a file; a key that it does not have is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WrittenText(Written):
    """A text in both languages."""

    id: str = Field(min_length=1, description="Bahasa Indonesia")
    en: str = Field(min_length=1, description="English")

    def to_text(self) -> BilingualText:
        """The plain data of the domain."""
        return BilingualText(self.id, self.en)


class WrittenSource(Written):
    """The source of a rule; a rule that no law gives has the status `project_default`."""

    title: str = Field(min_length=1, description="law, regulation or standard")
    article: str = Field(default="", description="article, paragraph")
    read: Day | None = Field(default=None, description="when it was read")
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> "WrittenSource":
        if self.status is not Status.PROJECT_DEFAULT and self.read is None:
            msg = gettext_noop("give in `read` the date on which the source was read")
            raise ValueError(msg)
        return self

    def to_source(self) -> Source:
        """The plain data of the domain."""
        return Source(self.title, self.article, self.read, self.status)


class WrittenTime(Written):
    """A length of time."""

    minutes: int = Field(default=0, ge=0, le=100_000, strict=True)
    hours: int = Field(default=0, ge=0, le=10_000, strict=True)
    days: int = Field(default=0, ge=0, le=1000, strict=True, description="calendar days of 24 hours, never paused")
    working_days: int = Field(default=0, ge=0, le=250, strict=True, description="without weekends and holidays")
    office_hours: int = Field(default=0, ge=0, le=1000, strict=True, description="hours while offices are open")

    @model_validator(mode="after")
    def _has_a_length(self) -> "WrittenTime":
        if not (self.minutes or self.hours or self.days or self.working_days or self.office_hours):
            msg = gettext_noop("give minutes, hours, days, working_days or office_hours")
            raise ValueError(msg)
        if self.office_hours and (self.minutes or self.hours or self.days or self.working_days):
            msg = gettext_noop("office_hours stand alone; write the whole time in them")
            raise ValueError(msg)
        return self

    def to_duration(self) -> Within:
        """The plain data of the domain."""
        return Within(
            timedelta(days=self.days, hours=self.hours, minutes=self.minutes), self.working_days, self.office_hours
        )

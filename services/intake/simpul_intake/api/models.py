"""Bodies of requests and responses."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from simpul_intake.domain import ANSWER_FIELDS, Amendment, DuplicateReason, Progress, Report
from simpul_intake.errors import CentreNotOfToken, EventTimeProblem
from simpul_intake.use_cases import Override
from simpul_runtime.database import utc_now
from simpul_runtime.failure_responses import FailureOut
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
Category = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]

FIRST_YEAR, LAST_YEAR = 2000, 2199
"""Years that `received_at` may have. A centre may enter a paper report years later, but an earlier year is a typing
error: SIMFONI PPA and today's agencies are younger. A time in the future is replaced by the current time; the limit
keeps it convertible to every time zone."""
_EARLIEST: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_AFTER_LATEST: Final = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)


def _check_year(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _AFTER_LATEST:
        kind, detail = "year_out_of_range", "the year is out of range"
        raise PydanticCustomError(kind, detail, {"ge": FIRST_YEAR, "le": LAST_YEAR})
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_check_year)]

MAX_ADDITION: Final = 5_000
"""Characters of one addition, or of one answer."""
MAX_AGE: Final = 120
"""An older age is a typing error."""
_DATE: Final = re.compile(r"(?P<first>\d{1,4})[-/. ](?P<month>\d{1,2})[-/. ](?P<last>\d{1,4})")
_EVENT_TIME: Final = re.compile(r"(?P<day>[\d./ -]{8,10}?)(?:[T ](?P<hour>\d{1,2})(?:[:.]\d{2})*)?")


def _parse_date(found: re.Match[str]) -> date | None:
    """Reads a date with the year first or last; None for a day that does not exist."""
    first, last = found["first"], found["last"]
    year, day = (first, last) if len(first) == 4 else (last, first)
    try:
        return date(int(year), int(found["month"]), int(day))
    except ValueError:
        return None


def _check_birth_date(text: str) -> str:
    """Refuses a date that does not exist, lies in the future or makes a person older than MAX_AGE.

    Other words, such as "about 2015", are kept as they are.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return text
    today = utc_now().date()
    born = _parse_date(found)
    # A day of grace, because the day begins earlier in the city than in UTC.
    if born is None or not date(today.year - MAX_AGE, 1, 1) <= born <= today + timedelta(days=1):
        kind, detail = "date_impossible", "no such date of birth"
        raise PydanticCustomError(kind, detail)
    return text


BirthDate = Annotated[ShortText, AfterValidator(_check_birth_date)]


def _normalize_event_time(text: str) -> str:
    """Writes a day, or a day and an hour, as the contract does; minutes are dropped.

    Whether the event can have happened then is checked with the rest of the report, see `domain.check_event_time`.
    """
    if not text:
        return ""
    found = _EVENT_TIME.fullmatch(text)
    written = _DATE.fullmatch(found["day"]) if found else None
    day = _parse_date(written) if written else None
    hour = found["hour"] if found else None
    if day is None or int(hour or 0) > 23:
        kind, detail = EventTimeProblem.NO_SUCH_DATE.value, "no day, or day and hour"
        raise PydanticCustomError(kind, detail)
    return f"{day}T{int(hour):02}" if hour else f"{day}"


EventTimeText = Annotated[ShortText, AfterValidator(_normalize_event_time)]


class _Strict(BaseModel):
    """A body whose values show neither in an error nor in its representation."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        return []


class IdentityIn(_Strict):
    """The child's identity; stored encrypted and released only to an agency that accepted."""

    child_name: ShortText = ""
    birth_date: BirthDate = Field(default="", description="2015-03-09 or 9-3-2015, or words if it is not known")
    nik: ShortText = ""
    address: ShortText = ""
    guardian_name: ShortText = ""
    guardian_phone: ShortText = ""
    safe_contact: ShortText = Field(default="", description="a number or address that is safe to use")
    safe_hours: ShortText = Field(default="", description="when that contact is safe to use, such as 08.00-12.00")
    school: ShortText = ""


class NarrativeIn(_Strict):
    """The narrative; stored encrypted."""

    chronology: LongText = ""
    perpetrator_description: LongText = ""


class ReportIn(_Strict):
    """One report of violence against a child. Leave unknown facts out or send `unknown`."""

    report_id: UUID = Field(
        description="random, generated by the client; a repeated report never creates a second case"
    )
    received_at: Moment | None = Field(
        default=None, description="when the centre received it, year 2000 or later; defaults to the current time"
    )
    channel: Channel = Field(description="how the report was made")
    complaint_centre: ShortText = Field(default="", description="agency code of the centre that received the report")
    reporter: Reporter = Reporter.OTHER
    violence: list[Category] = Field(
        min_length=1,
        max_length=16,
        description="physical, psychological, sexual, exploitation, trafficking, neglect, other, unknown; "
        "any other category is accepted and goes to manual triage",
    )
    happened_at: EventTimeText = Field(
        default="",
        description="when it happened, in local time: a day and an hour such as 2026-11-24T21, or a day; else empty",
    )
    place: Place = Place.OTHER
    event_kelurahan: ShortText = Field(
        default="", description="where it happened: name or code of the kelurahan, or `outside` for outside the city"
    )
    kelurahan: ShortText = Field(
        default="",
        description="where the child lives: name or code, or `outside` for outside the city; without one that the city "
        "knows the report goes to manual triage",
    )
    age: int | None = Field(
        default=None, ge=0, le=MAX_AGE, description="completed years; from 18 on the report goes to manual triage"
    )
    sex: Sex = Sex.UNKNOWN
    perpetrator_relation: Relation = Relation.UNKNOWN
    perpetrator_is_child: Answer = Answer.UNKNOWN
    perpetrator_lives_with_child: Answer = Answer.UNKNOWN
    guardian_relation: Relation = Field(default=Relation.UNKNOWN, description="what the guardian is to the child")
    guardian_is_suspect: Answer = Answer.UNKNOWN
    suspect_has_phone: Answer = Field(
        default=Answer.UNKNOWN, description="whether the telephone of the child's family is the suspect's"
    )
    safe_now: Answer = Answer.UNKNOWN
    injured: Answer = Answer.UNKNOWN
    sexual_under_72h: Answer = Field(
        default=Answer.UNKNOWN,
        description="for a reporter who knows no day: whether sexual violence happened in the last 72 hours; leave it "
        "out where `happened_at` says when",
    )
    suicidal_sign: Answer = Answer.UNKNOWN
    trafficking_sign: Answer = Answer.UNKNOWN
    pregnant: Answer = Answer.UNKNOWN
    disability_need: Answer = Answer.UNKNOWN
    in_school: Answer = Answer.UNKNOWN
    excluded_agencies: list[ShortText] = Field(
        default_factory=list,
        max_length=16,
        description="codes of agencies that are too close to the suspect; they receive nothing of this case. Without "
        "the token of a complaint centre this is a suggestion, and a person decides",
    )
    duplicate_search: UUID | None = Field(
        default=None, description="the search_id of an answer that asked to check whether the child was reported before"
    )
    duplicate_reason: DuplicateReason | None = Field(
        default=None, description="with duplicate_search: why the report is sent all the same"
    )
    identity: IdentityIn = IdentityIn()
    narrative: NarrativeIn = NarrativeIn()

    @property
    def override(self) -> Override | None:
        """Why the report is sent although the child may have been reported before."""
        if self.duplicate_search is None or self.duplicate_reason is None:
            return None
        return Override(self.duplicate_search, self.duplicate_reason)

    def to_report(self, now: datetime, centre: str = "") -> Report:
        """Converts to the domain's report; a time in the future becomes `now`.

        `centre` is the complaint centre whose token the request carried; empty for an anonymous source. Raises
        CentreNotOfToken when the report names another centre.
        """
        if centre and self.complaint_centre not in ("", centre):
            raise CentreNotOfToken
        exclusions = tuple(dict.fromkeys(self.excluded_agencies))
        return Report(
            report_id=self.report_id,
            received_at=min(self.received_at or now, now),
            channel=self.channel,
            complaint_centre=centre or self.complaint_centre,
            reporter=self.reporter,
            violence=tuple(self.violence),
            place=self.place,
            happened_at=self.happened_at,
            event_kelurahan=self.event_kelurahan,
            kelurahan=self.kelurahan,
            age=self.age,
            sex=self.sex,
            perpetrator_relation=self.perpetrator_relation,
            guardian_relation=self.guardian_relation,
            answers={name: getattr(self, name) for name in ANSWER_FIELDS},
            excluded_agencies=exclusions if centre else (),
            suggested_exclusions=() if centre else exclusions,
            identity=self.identity.model_dump(),
            narrative=self.narrative.model_dump(),
            authenticated_centre=centre,
        )


class AnswerIn(_Strict):
    """The answer to one question of the case manager."""

    question_id: UUID = Field(description="the `question_id` of the question")
    answer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ADDITION)]


class AmendmentIn(_Strict):
    """Additions and corrections; fields that are left out stay unchanged."""

    amendment_id: UUID = Field(description="random, generated by the client; a repeated amendment changes nothing")
    receipt: ShortText = Field(description="the receipt that the reporting person got")
    violence: list[Category] | None = Field(default=None, min_length=1, max_length=16)
    happened_at: EventTimeText | None = None
    place: Place | None = None
    event_kelurahan: ShortText | None = None
    kelurahan: ShortText | None = None
    age: int | None = Field(
        default=None, ge=0, le=MAX_AGE, description="completed years; from 18 on the report goes to manual triage"
    )
    sex: Sex | None = None
    perpetrator_relation: Relation | None = None
    perpetrator_is_child: Answer | None = None
    perpetrator_lives_with_child: Answer | None = None
    guardian_relation: Relation | None = None
    guardian_is_suspect: Answer | None = None
    suspect_has_phone: Answer | None = None
    safe_now: Answer | None = None
    injured: Answer | None = None
    sexual_under_72h: Answer | None = None
    suicidal_sign: Answer | None = None
    trafficking_sign: Answer | None = None
    pregnant: Answer | None = None
    disability_need: Answer | None = None
    in_school: Answer | None = None
    excluded_agencies: list[ShortText] = Field(
        default_factory=list,
        max_length=16,
        description="codes of further agencies that are too close to the suspect; a suggestion, and a person decides",
    )
    identity: IdentityIn = IdentityIn()
    narrative: NarrativeIn = NarrativeIn()
    answers: list[AnswerIn] = Field(
        default_factory=list,
        max_length=20,
        description="to `questions` of `POST /cases/{case_id}/progress`",
    )

    def to_amendment(self, case_id: UUID) -> Amendment:
        """Converts to the domain's amendment; an empty value counts as left out."""
        not_facts = {"amendment_id", "receipt", "identity", "narrative", "answers"}
        facts = {name: value for name, value in self if name not in not_facts and value not in (None, [], "")}
        if "violence" in facts:
            facts["violence"] = tuple(facts["violence"])
        return Amendment(
            amendment_id=self.amendment_id,
            case_id=case_id,
            receipt=self.receipt,
            facts=facts,
            identity={name: value for name, value in self.identity if value},
            narrative={name: value for name, value in self.narrative if value},
            answers={one.question_id: one.answer for one in self.answers},
        )


class ProgressIn(_Strict):
    """The receipt, in the body because addresses are logged on the way."""

    receipt: ShortText = Field(description="the receipt that the reporting person got")


class QuestionOut(BaseModel):
    """A question of the case manager that nobody has answered yet."""

    question_id: UUID = Field(description="goes into `answers` of an amendment")
    text: str = Field(description="the question")
    sent_at: datetime = Field(description="when")


class ProgressOut(BaseModel):
    """What a reporting person may know of what became of the report."""

    progress: Progress = Field(description="`being_handled` once an agency has accepted")
    questions: list[QuestionOut] = Field(description="what the case manager asks, the oldest question first")


class FiledReportOut(BaseModel):
    """A report that the centre filed."""

    case_id: UUID
    case_reference: str
    received_at: datetime
    progress: Progress = Field(description="`being_handled` once an agency has accepted")
    receipt_number: int = Field(default=0, description="how often its receipt was replaced")


class FiledReportsOut(BaseModel):
    """Reports that the centre filed, the newest first, without those that were erased."""

    reports: list[FiledReportOut]
    next: UUID | None = Field(description="goes into `before` for the next page; null at the end")


class AmendmentOut(BaseModel):
    """The amendment is stored; routing decides again with the amended facts."""

    status: str = "accepted"
    revision: int = Field(description="revision of the facts after this amendment; the report itself is revision 1")


class ReceiptOut(BaseModel):
    """The report is stored and becomes referrals."""

    status: str = "accepted"
    case_id: UUID = Field(description="random reference of the case")
    case_reference: str = Field(description="short form of the reference, for reading aloud")
    receipt: str = Field(
        description="eleven words for the reporting person; they later prove who made the report. Empty when a report "
        "is sent again whose receipt was replaced"
    )
    contact_agency: str = Field(
        default="",
        description="code of the agency to ask, because the child may have been reported before; empty when nothing is "
        "known, and always without a complaint centre's token",
    )


class NewReceiptOut(BaseModel):
    """The receipt that is valid from now on; the words before are not valid any more."""

    receipt: str = Field(description="eleven words for the reporting person")


class MaybeReportedOut(FailureOut):
    """The child may have been reported before. Nothing was stored."""

    search_id: UUID = Field(description="goes into duplicate_search when the report is sent again")
    contact_agency: str = Field(description="code of the agency to ask")
    contact_agency_name: str = Field(description="its name")

"""What intake says about a case."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import (
    AgeBand,
    Answer,
    CaseEnd,
    Channel,
    Place,
    ReferralRole,
    Relation,
    ReplanReason,
    Reporter,
    Right,
    RightState,
    Service,
    Sex,
    Urgency,
    Violence,
)


class TriageFacts(BaseModel):
    """T1: what routing needs to decide; travels only sealed, in the section `triage`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    channel: Channel = Field(description="how the report came in")
    complaint_centre: str = Field(default="", description="agency code of the centre that took the report")
    reporter: Reporter = Field(description="who reports")
    violence: tuple[Violence, ...] = Field(min_length=1, description="kinds of violence, each once")
    place: Place = Field(description="where it happened")
    kelurahan: str = Field(default="", description="official code of the kelurahan; empty when not one of the city's")
    sex: Sex = Sex.UNKNOWN
    age_band: AgeBand = AgeBand.UNKNOWN
    perpetrator_relation: Relation = Relation.UNKNOWN
    perpetrator_is_child: Answer = Answer.UNKNOWN
    perpetrator_lives_with_child: Answer = Answer.UNKNOWN
    safe_now: Answer = Answer.UNKNOWN
    injured: Answer = Answer.UNKNOWN
    sexual_under_72h: Answer = Answer.UNKNOWN
    suicidal_sign: Answer = Answer.UNKNOWN
    trafficking_sign: Answer = Answer.UNKNOWN
    pregnant: Answer = Answer.UNKNOWN
    disability_need: Answer = Answer.UNKNOWN
    in_school: Answer = Answer.UNKNOWN
    excluded_agencies: tuple[str, ...] = Field(
        default=(), description="agency codes that are too close to the suspect and receive nothing"
    )
    suggested_exclusions: tuple[str, ...] = Field(
        default=(),
        description="the same as a source says that nobody knows: they wait until a person has decided",
    )


class CaseReportedData(EventData):
    """The accepted report; the facts are in the section `triage`, sealed to routing."""

    case_id: UUID = Field(description="random reference of the case")
    received_at: Instant = Field(description="when the complaint centre received the report, UTC")


class RightEntry(BaseModel):
    """One right of the child and where it stands."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    right: Right = Field(description="the right")
    state: RightState = Field(description="where it stands now")


class RightChangedData(EventData):
    """Rights that changed together; at triage all eight, later those that moved."""

    case_id: UUID = Field(description="random reference of the case")
    rights: tuple[RightEntry, ...] = Field(min_length=1, description="each right that changed, with its new state")


class RightChangedV1(Event):
    """Sent by routing when the rights ledger of a case was opened or changed."""

    WIRE_NAME: ClassVar[str] = "right.changed.v1"
    type: Literal["right.changed.v1"] = "right.changed.v1"
    data: RightChangedData


class CaseClosedData(EventData):
    """A case ended, and how."""

    case_id: UUID = Field(description="random reference of the case")
    end: CaseEnd = Field(description="how it ended")
    closed_at: Instant = Field(description="when, UTC")


class CaseClosedV1(Event):
    """Sent by routing when a case was terminated."""

    WIRE_NAME: ClassVar[str] = "case.closed.v1"
    type: Literal["case.closed.v1"] = "case.closed.v1"
    data: CaseClosedData


class CaseReopenedData(EventData):
    """A terminated case goes on."""

    case_id: UUID = Field(description="random reference of the case")
    reopened_at: Instant = Field(description="when, UTC")


class CaseReopenedV1(Event):
    """Sent by routing when a terminated case was opened again."""

    WIRE_NAME: ClassVar[str] = "case.reopened.v1"
    type: Literal["case.reopened.v1"] = "case.reopened.v1"
    data: CaseReopenedData


class CaseMergedData(EventData):
    """Two cases turned out to be one child's."""

    case_id: UUID = Field(description="random reference of the case that ends here")
    into: UUID = Field(description="random reference of the case that goes on")
    merged_at: Instant = Field(description="when, UTC")


class CaseMergedV1(Event):
    """Sent by routing when a case went on in another one of the same child."""

    WIRE_NAME: ClassVar[str] = "case.merged.v1"
    type: Literal["case.merged.v1"] = "case.merged.v1"
    data: CaseMergedData


class CaseVoidedData(EventData):
    """The case should never have been entered."""

    case_id: UUID = Field(description="random reference of the case")
    voided_at: Instant = Field(description="when, UTC")


class CaseVoidedV1(Event):
    """Sent by routing when a case was marked as entered in error."""

    WIRE_NAME: ClassVar[str] = "case.voided.v1"
    type: Literal["case.voided.v1"] = "case.voided.v1"
    data: CaseVoidedData


class CaseAgencyExcludedData(EventData):
    """An agency is too close to the suspect; it receives nothing more of the case, escalation included."""

    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    excluded_at: Instant = Field(description="when, UTC")


class CaseAgencyExcludedV1(Event):
    """Sent by routing when an agency was excluded from a case after its report."""

    WIRE_NAME: ClassVar[str] = "case.agency_excluded.v1"
    type: Literal["case.agency_excluded.v1"] = "case.agency_excluded.v1"
    # A stream of its own for each, so that whoever follows exclusions need not follow cases.
    subject: str = Field(pattern=r"^exclusion/[0-9a-f-]{36}$", description="the exclusion")
    data: CaseAgencyExcludedData


class ReplannedReferral(BaseModel):
    """One referral and what is asked of whom in it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    referral_id: UUID = Field(description="random reference of the referral")
    agency: str = Field(description="code of the agency")
    service: Service = Field(description="what is asked")
    role: ReferralRole = Field(description="whether the agency leads the service or supports it")


class CaseReplannedData(EventData):
    """What exactly changed; nothing else did."""

    case_id: UUID = Field(description="random reference of the case")
    why: ReplanReason = Field(description="what made routing decide again")
    agreement: str = Field(description="version of the agreement that decided")
    urgency: Urgency = Field(description="of the case from now on")
    added: tuple[ReplannedReferral, ...] = Field(description="asked from now on")
    withdrawn: tuple[ReplannedReferral, ...] = Field(description="no longer asked")
    kept: tuple[ReplannedReferral, ...] = Field(description="still open and unchanged in agency and service")


class CaseReplannedV1(Event):
    """Sent by routing when it decided a case again."""

    WIRE_NAME: ClassVar[str] = "case.replanned.v1"
    type: Literal["case.replanned.v1"] = "case.replanned.v1"
    data: CaseReplannedData


class CaseReportedV1(Event):
    """Sent by intake when a report was accepted and stored."""

    WIRE_NAME: ClassVar[str] = "case.reported.v1"
    type: Literal["case.reported.v1"] = "case.reported.v1"
    data: CaseReportedData


class CaseAmendedData(EventData):
    """New facts; all facts of the case as they stand now are in the section `triage`, sealed to routing."""

    case_id: UUID = Field(description="random reference of the case")
    amended_at: Instant = Field(description="when intake stored the new facts, UTC")
    revision: int = Field(ge=2, description="which revision of the facts this is; the report was the first")


class CaseAmendedV1(Event):
    """Sent by intake when facts of a case were added or corrected; routing decides the case again."""

    WIRE_NAME: ClassVar[str] = "case.amended.v1"
    type: Literal["case.amended.v1"] = "case.amended.v1"
    data: CaseAmendedData

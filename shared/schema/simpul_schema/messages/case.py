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
    Relation,
    Reporter,
    Right,
    RightState,
    Sex,
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


class CaseReportedV1(Event):
    """Sent by intake when a report was accepted and stored."""

    WIRE_NAME: ClassVar[str] = "case.reported.v1"
    type: Literal["case.reported.v1"] = "case.reported.v1"
    data: CaseReportedData

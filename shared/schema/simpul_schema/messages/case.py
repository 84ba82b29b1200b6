"""What intake says about a case."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import AgeBand, Answer, Channel, Place, Relation, Reporter, Sex, Violence


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


class CaseReportedV1(Event):
    """Sent by intake when a report was accepted and stored."""

    WIRE_NAME: ClassVar[str] = "case.reported.v1"
    type: Literal["case.reported.v1"] = "case.reported.v1"
    data: CaseReportedData

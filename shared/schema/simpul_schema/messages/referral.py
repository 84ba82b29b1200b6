"""What routing, the authority on referrals, says about one."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import AgeBand, Answer, ReferralRole, Service, Sex, Urgency, Violence


class ReferralFacts(BaseModel):
    """T1: what the addressed agency needs before it accepts; travels only sealed, in the section `facts`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    violence: tuple[Violence, ...] = Field(description="kinds of violence")
    sex: Sex
    age_band: AgeBand
    kecamatan: str = Field(default="", description="kecamatan of residence; empty when outside the city")
    safe_now: Answer
    injured: Answer
    sexual_under_72h: Answer
    suicidal_sign: Answer
    trafficking_sign: Answer
    pregnant: Answer
    disability_need: Answer
    in_school: Answer
    mediation_locked: bool = Field(description="no mediation is allowed (UU 12/2022 art. 23)")


class ReferralOfferedData(EventData):
    """One service asked of one agency; the facts are in the section `facts`, sealed to it."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that must answer")
    service: Service = Field(description="what is asked")
    role: ReferralRole = Field(description="whether this agency leads the service or supports it")
    urgency: Urgency = Field(description="computed from the safety facts")
    answer_by: Instant = Field(description="a human answer is due by then, UTC")


class ReferralOfferedV1(Event):
    """Sent when an agency must answer; to the agency and to those who alert its people."""

    WIRE_NAME: ClassVar[str] = "referral.offered.v1"
    type: Literal["referral.offered.v1"] = "referral.offered.v1"
    data: ReferralOfferedData


class ReferralAcceptedData(EventData):
    """The agency took the referral and routing recorded it."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that accepted")
    accepted_at: Instant = Field(description="when the agency accepted, UTC")


class ReferralAcceptedV1(Event):
    """Sent when routing has judged and recorded an agency's acceptance."""

    WIRE_NAME: ClassVar[str] = "referral.accepted.v1"
    type: Literal["referral.accepted.v1"] = "referral.accepted.v1"
    data: ReferralAcceptedData

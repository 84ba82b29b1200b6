"""What routing, the authority on referrals, says about one."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import (
    AgeBand,
    Answer,
    CancelReason,
    DeclineReason,
    ReferralOutcome,
    ReferralRole,
    ReplanReason,
    ReplyRefusal,
    Service,
    Sex,
    Urgency,
    Violence,
)


class ReferralFacts(BaseModel):
    """T1: what the addressed agency needs before it accepts; travels only sealed, in the section `facts`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    violence: tuple[Violence, ...] = Field(description="kinds of violence that count, as reported or implied")
    implied_violence: tuple[Violence, ...] = Field(
        default=(),
        description="those of them that nobody reported and that other facts imply: sexual violence under 72 hours "
        "ago or a pregnancy below 15 is sexual violence, a sign of trafficking is trafficking",
    )
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
    agreement: str = Field(default="", description="version of the agreement that asks for it")
    reroute_count: int = Field(default=0, ge=0, description="how often this service was rerouted before")
    rerouted_from: UUID | None = Field(
        default=None, description="the referral that another agency declined; its clocks keep running"
    )


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


class ReferralDeclinedData(EventData):
    """The agency cannot serve the child; `referral.rerouted.v1` follows at once."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that declined")
    reason: DeclineReason = Field(description="why")
    declined_at: Instant = Field(description="when, UTC")


class ReferralDeclinedV1(Event):
    """Sent when routing recorded that an agency declined."""

    WIRE_NAME: ClassVar[str] = "referral.declined.v1"
    type: Literal["referral.declined.v1"] = "referral.declined.v1"
    data: ReferralDeclinedData


class ReferralReroutedData(EventData):
    """Another agency is offered the service, under the same clocks."""

    referral_id: UUID = Field(description="random reference of the referral that ends here")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that declined")
    next_referral_id: UUID = Field(description="random reference of the referral that replaces it")
    next_agency: str = Field(description="code of the agency that the service is offered to now")
    reroute_count: int = Field(ge=1, description="how often this service was rerouted in this case")
    is_escalated_to_hub: bool = Field(description="without another agency, or after too many reroutes; the hub decides")


class ReferralReroutedV1(Event):
    """Sent when routing rerouted a declined referral."""

    WIRE_NAME: ClassVar[str] = "referral.rerouted.v1"
    type: Literal["referral.rerouted.v1"] = "referral.rerouted.v1"
    data: ReferralReroutedData


class ReferralStartedData(EventData):
    """The service has begun."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that serves")
    started_at: Instant = Field(description="when, UTC")


class ReferralStartedV1(Event):
    """Sent when routing recorded that an agency has begun to serve."""

    WIRE_NAME: ClassVar[str] = "referral.started.v1"
    type: Literal["referral.started.v1"] = "referral.started.v1"
    data: ReferralStartedData


class ReferralCompletedData(EventData):
    """The service has ended."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that served")
    outcome: ReferralOutcome = Field(description="how it ended")
    completed_at: Instant = Field(description="when, UTC")


class ReferralCompletedV1(Event):
    """Sent when routing recorded that an agency has completed a referral."""

    WIRE_NAME: ClassVar[str] = "referral.completed.v1"
    type: Literal["referral.completed.v1"] = "referral.completed.v1"
    data: ReferralCompletedData


class ReplyRefusedData(EventData):
    """A reply that changed nothing, and what the agency can do."""

    referral_id: UUID = Field(description="random reference of the referral it spoke about")
    agency: str = Field(description="code of the agency that replied")
    reply_id: UUID = Field(description="id of the refused event")
    reason: ReplyRefusal = Field(description="why it changed nothing")
    explanation: str = Field(description="the reason as a sentence, in Bahasa Indonesia and English")


class ReferralReplyRefusedV1(Event):
    """Sent to the agency whose reply was not allowed; the reply is recorded all the same."""

    WIRE_NAME: ClassVar[str] = "referral.reply_refused.v1"
    type: Literal["referral.reply_refused.v1"] = "referral.reply_refused.v1"
    # A stream of its own for each: the stream of a referral has no gap for those to whom this is not sent.
    subject: str = Field(pattern=r"^reply/[0-9a-f-]{36}$", description="the refused reply")
    data: ReplyRefusedData


class ClockStepData(EventData):
    """A deadline of a referral came nearer, or passed."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that must act")
    clock: str = Field(description="which deadline, such as `answer`")
    step: int = Field(description="how much of the time has passed, in percent: 50, 100 or 200")
    due_at: Instant = Field(description="the deadline itself, UTC")
    urgency: Urgency = Field(description="of the case")
    escalation_targets: tuple[str, ...] = Field(
        description="codes of the parties to notify, by the escalation policy of the agreement"
    )


class ReferralRemindedV1(Event):
    """Sent once when half of a deadline's time has passed."""

    WIRE_NAME: ClassVar[str] = "referral.reminded.v1"
    type: Literal["referral.reminded.v1"] = "referral.reminded.v1"
    data: ClockStepData


class ReferralOverdueV1(Event):
    """Sent once when a deadline has passed; the next level of the escalation policy is notified."""

    WIRE_NAME: ClassVar[str] = "referral.overdue.v1"
    type: Literal["referral.overdue.v1"] = "referral.overdue.v1"
    data: ClockStepData


class ReferralEscalatedV1(Event):
    """Sent once when twice a deadline's time has passed; the top level of the escalation policy is notified."""

    WIRE_NAME: ClassVar[str] = "referral.escalated.v1"
    type: Literal["referral.escalated.v1"] = "referral.escalated.v1"
    data: ClockStepData


class ReferralCancelledData(EventData):
    """Nothing more is asked of the agency, because the case ended or the case manager took it back."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    cancelled_at: Instant = Field(description="when, UTC")
    why: CancelReason = Field(default=CancelReason.CASE_ENDED, description="what made it end")


class ReferralCancelledV1(Event):
    """Sent when a referral that was still open ended with its case, or was taken back by the case manager."""

    WIRE_NAME: ClassVar[str] = "referral.cancelled.v1"
    type: Literal["referral.cancelled.v1"] = "referral.cancelled.v1"
    data: ReferralCancelledData


class ReferralRevokedData(EventData):
    """The agency is asked no longer, because what is known of the case has changed."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    why: ReplanReason = Field(description="what has changed")
    revoked_at: Instant = Field(description="when, UTC")


class ReferralRevokedV1(Event):
    """Sent when routing decided a case again and no longer asks this of the agency."""

    WIRE_NAME: ClassVar[str] = "referral.revoked.v1"
    type: Literal["referral.revoked.v1"] = "referral.revoked.v1"
    data: ReferralRevokedData


class ReferralAmendedData(EventData):
    """What is known now; the facts are in the section `facts`, sealed to the agency, and replace the earlier ones."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    urgency: Urgency = Field(description="of the case from now on")
    answer_by: Instant = Field(description="a human answer is due by then, UTC; never later than before by new facts")


class ReferralAmendedV1(Event):
    """Sent when facts, urgency or deadline of an open referral have changed, so that nobody asks twice."""

    WIRE_NAME: ClassVar[str] = "referral.amended.v1"
    type: Literal["referral.amended.v1"] = "referral.amended.v1"
    data: ReferralAmendedData


class ReferralConsentWithdrawnData(EventData):
    """The basis on which the agency was told about the child is gone."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that holds something of the case")
    withdrawn_at: Instant = Field(description="when, UTC")
    acknowledge_by: Instant = Field(description="the agency has stopped and said so by then, UTC")


class ReferralConsentWithdrawnV1(Event):
    """Sent to every agency that accepted a referral of the case: stop processing, and acknowledge."""

    WIRE_NAME: ClassVar[str] = "referral.consent_withdrawn.v1"
    type: Literal["referral.consent_withdrawn.v1"] = "referral.consent_withdrawn.v1"
    data: ReferralConsentWithdrawnData


class SuggestedExclusions(BaseModel):
    """T1: the agencies that are called too close to the suspect; travels only sealed, in the section `suggestions`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    agencies: tuple[str, ...] = Field(description="codes of the agencies that wait")


class ReferralExclusionSuggestedData(EventData):
    """Agencies wait because a source that nobody knows calls them too close to the suspect; a person decides.

    The agencies are in the section `suggestions`, sealed to the agency that is asked.
    """

    referral_id: UUID = Field(description="random reference of the decision; there is no service to accept under it")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency whose people are asked to decide; empty where nobody is left")
    urgency: Urgency = Field(description="of the case")
    decide_by: Instant = Field(description="a decision is due by then, UTC")
    suggestions: int = Field(ge=1, description="how many agencies wait for it")
    step: int = Field(ge=0, le=200, description="percent of the time that have passed: 0, 50, 100 or 200")
    escalation_targets: tuple[str, ...] = Field(
        description="codes of the parties to notify; never an agency whose exclusion is suggested"
    )


class ReferralExclusionSuggestedV1(Event):
    """Sent when a person must decide about suggested exclusions, and again when the deadline comes near or passes."""

    WIRE_NAME: ClassVar[str] = "referral.exclusion_suggested.v1"
    type: Literal["referral.exclusion_suggested.v1"] = "referral.exclusion_suggested.v1"
    data: ReferralExclusionSuggestedData


class ReferralExclusionDecidedData(EventData):
    """This agency is asked no longer: everything is decided, somebody else is asked, or the case ended."""

    referral_id: UUID = Field(description="random reference of the decision")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that was asked; empty where nobody was left")
    decided_at: Instant = Field(description="when, UTC")


class ReferralExclusionDecidedV1(Event):
    """Sent when nothing is left to decide for the agency that was asked."""

    WIRE_NAME: ClassVar[str] = "referral.exclusion_decided.v1"
    type: Literal["referral.exclusion_decided.v1"] = "referral.exclusion_decided.v1"
    data: ReferralExclusionDecidedData

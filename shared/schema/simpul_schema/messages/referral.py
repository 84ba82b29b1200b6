"""Events of routing about referrals.

A referral is what practice calls a surat rujukan: one case, one agency, and the services asked of it. An agency has one
referral per case; services that are added later join it.
"""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.catalog import ANY_AGENCY
from simpul_schema.envelope import ContractModel, Event, EventData, Instant, SectionContent, Sections
from simpul_schema.messages.case import EVENT_TIME
from simpul_schema.vocabulary import (
    AgeBand,
    Answer,
    CancelReason,
    DeclineReason,
    Place,
    ReferralOutcome,
    ReferralRole,
    Relation,
    ReplanReason,
    ReplyRefusal,
    Service,
    Sex,
    StepReason,
    Urgency,
    Violence,
)


class ReferralFacts(SectionContent):
    """The facts that an agency needs before it accepts (tier T1), sealed to it in the section `facts`."""

    SECTION: ClassVar[str] = "facts"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    violence: tuple[Violence, ...] = Field(description="kinds of violence, reported or implied")
    implied_violence: tuple[Violence, ...] = Field(
        default=(),
        description="those of them that were not reported but follow from other facts: sexual violence in the last "
        "72 hours or a pregnancy below 15 implies sexual violence, a sign of trafficking implies trafficking",
    )
    sex: Sex = Field(description="sex of the child")
    age_band: AgeBand = Field(description="age of the child, as a band")
    happened_at: str = Field(
        default="",
        pattern=EVENT_TIME,
        description="when it happened, in local time: a day and an hour such as 2026-11-24T21, a day, or nothing",
    )
    place: Place = Field(default=Place.OTHER, description="where it happened")
    event_kecamatan: str = Field(
        default="",
        description="kecamatan where it happened; `outside` if that is outside the city; empty if it is not known",
    )
    kecamatan: str = Field(
        default="",
        description="kecamatan where the child lives; `outside` if that is outside the city; empty if it is not known",
    )
    perpetrator_relation: Relation = Field(default=Relation.UNKNOWN, description="what the suspect is to the child")
    perpetrator_is_child: Answer = Field(default=Answer.UNKNOWN, description="whether the suspect is under 18")
    perpetrator_lives_with_child: Answer = Field(
        default=Answer.UNKNOWN, description="whether the suspect lives in the child's household"
    )
    guardian_relation: Relation = Field(default=Relation.UNKNOWN, description="what the guardian is to the child")
    guardian_is_suspect: Answer = Field(
        default=Answer.UNKNOWN, description="whether the guardian and the suspect are the same person"
    )
    suspect_has_phone: Answer = Field(
        default=Answer.UNKNOWN,
        description="whether the telephone of the child's family is the suspect's; do not call it then",
    )
    safe_now: Answer = Field(description="whether the child is safe now")
    injured: Answer = Field(description="whether the child is injured")
    sexual_under_72h: Answer = Field(description="whether sexual violence happened in the 72 hours before the report")
    suicidal_sign: Answer = Field(description="whether there are signs of suicidal thoughts")
    trafficking_sign: Answer = Field(description="whether there are signs of trafficking")
    pregnant: Answer = Field(description="whether the child is pregnant")
    disability_need: Answer = Field(description="whether the child needs support because of a disability")
    in_school: Answer = Field(description="whether the child attends a school")
    mediation_locked: bool = Field(description="whether mediation is forbidden (UU 12/2022 art. 23)")


class RequestedService(ContractModel):
    """One service asked of the agency; each is answered, served and completed by itself."""

    service_id: UUID = Field(description="random reference of the service; replies name it")
    service: Service = Field(description="the service that the child needs")
    role: ReferralRole = Field(description="whether this agency leads the service or supports it")
    urgency: Urgency = Field(description="urgency of this service")
    answer_by: Instant = Field(description="deadline for an answer by a person, UTC; new facts never postpone it")
    reroute_count: int = Field(default=0, ge=0, description="how many times this service was rerouted before")
    rerouted_from: UUID | None = Field(
        default=None, description="the `service_id` that another agency declined; its clocks keep running"
    )


class ServiceReference(ContractModel):
    """One service of a referral."""

    service_id: UUID = Field(description="random reference of the service")
    service: Service = Field(description="the service")


class ReferralOfferedData(EventData):
    """A new referral: services of one case, asked of one agency; the facts are sealed to it in the section `facts`."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that must answer")
    services: tuple[RequestedService, ...] = Field(min_length=1, description="the services, the most urgent first")
    urgency: Urgency = Field(description="highest urgency of the services")
    answer_by: Instant = Field(description="earliest deadline of the services, UTC")
    agreement: str = Field(default="", description="version of the agreement that requires it")


class ReferralOfferedV1(Event):
    """Sent when an agency must answer; notify alerts its responders."""

    WIRE_NAME: ClassVar[str] = "referral.offered.v1"
    SECTIONS: ClassVar[Sections] = (ReferralFacts,)
    type: Literal["referral.offered.v1"] = "referral.offered.v1"
    data: ReferralOfferedData


class ReferralAcceptedData(EventData):
    """Services that the agency has accepted."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that accepted")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services that it accepted")
    accepted_at: Instant = Field(description="when the agency accepted, UTC")


class ReferralAcceptedV1(Event):
    """Sent when routing has recorded that an agency accepted services."""

    WIRE_NAME: ClassVar[str] = "referral.accepted.v1"
    type: Literal["referral.accepted.v1"] = "referral.accepted.v1"
    data: ReferralAcceptedData


class ReferralDeclinedData(EventData):
    """Services that the agency has declined for one reason; `referral.rerouted.v1` follows at once."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that declined")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services that it declined")
    reason: DeclineReason = Field(description="why the agency declined")
    declined_at: Instant = Field(description="when, UTC")


class ReferralDeclinedV1(Event):
    """Sent when routing has recorded that an agency declined services."""

    WIRE_NAME: ClassVar[str] = "referral.declined.v1"
    type: Literal["referral.declined.v1"] = "referral.declined.v1"
    data: ReferralDeclinedData


class ReroutedService(ServiceReference):
    """A declined service and where it is offered now."""

    next_service_id: UUID = Field(description="random reference of the service that replaces it")
    reroute_count: int = Field(ge=1, description="how many times this service was rerouted in this case")
    is_escalated_to_hub: bool = Field(
        description="whether the service went to the hub: no agency is left, or it was rerouted too often"
    )


class ReferralReroutedData(EventData):
    """Declined services are offered to another agency; their clocks keep running."""

    referral_id: UUID = Field(description="random reference of the referral whose services end")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that declined")
    next_agency: str = Field(description="code of the agency to which the services are offered now")
    next_referral_id: UUID = Field(description="random reference of the referral of that agency")
    services: tuple[ReroutedService, ...] = Field(min_length=1, description="the services")


class ReferralReroutedV1(Event):
    """Sent when routing has rerouted declined services."""

    WIRE_NAME: ClassVar[str] = "referral.rerouted.v1"
    type: Literal["referral.rerouted.v1"] = "referral.rerouted.v1"
    data: ReferralReroutedData


class ReferralStartedData(EventData):
    """Services that have started."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that serves")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services that have started")
    started_at: Instant = Field(description="when, UTC")


class ReferralStartedV1(Event):
    """Sent when routing has recorded that an agency started services."""

    WIRE_NAME: ClassVar[str] = "referral.started.v1"
    type: Literal["referral.started.v1"] = "referral.started.v1"
    data: ReferralStartedData


class ReferralCompletedData(EventData):
    """Completed services with one outcome."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that served")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the completed services")
    outcome: ReferralOutcome = Field(description="how it ended")
    completed_at: Instant = Field(description="when, UTC")


class ReferralCompletedV1(Event):
    """Sent when routing has recorded that an agency completed services."""

    WIRE_NAME: ClassVar[str] = "referral.completed.v1"
    type: Literal["referral.completed.v1"] = "referral.completed.v1"
    data: ReferralCompletedData


class ReplyRefusedData(EventData):
    """A reply that changed nothing, or nothing about some of the services, with the reason."""

    referral_id: UUID = Field(description="random reference of the referral in the reply")
    agency: str = Field(description="code of the agency that replied")
    service_ids: tuple[UUID, ...] = Field(
        default=(), description="the services to which it is refused; empty if it is refused as a whole"
    )
    reply_id: UUID = Field(description="id of the refused event")
    reason: ReplyRefusal = Field(description="why it changed nothing")
    explanation: str = Field(description="the reason as a sentence in Bahasa Indonesia, for the people of the agency")


class ReferralReplyRefusedV1(Event):
    """Sent to the agency whose reply was refused; the reply is recorded nevertheless."""

    WIRE_NAME: ClassVar[str] = "referral.reply_refused.v1"
    type: Literal["referral.reply_refused.v1"] = "referral.reply_refused.v1"
    # Each has a stream of its own, because a gap in the stream of the referral would look like a loss to others.
    subject: str = Field(pattern=r"^reply/[0-9a-f-]{36}$", description="the refused reply")
    data: ReplyRefusedData


class ClockStepData(EventData):
    """A deadline of a referral that approaches or has passed."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that must act")
    services: tuple[ServiceReference, ...] = Field(
        min_length=1,
        description="the services whose deadline it is; a reminder lists those with later deadlines too",
    )
    clock: str = Field(description="name of the clock, such as `answer`")
    step: int = Field(description="percentage of the time that has passed: 50, 100 or 200")
    due_at: Instant = Field(description="the deadline, the first of them in a reminder, UTC")
    urgency: Urgency = Field(description="highest urgency of these services")
    escalation_targets: tuple[str, ...] = Field(
        description="codes of the parties to notify, by the escalation policy of the agreement"
    )
    reason: StepReason = Field(
        default=StepReason.DEADLINE,
        description="`nobody_reached` if the step was taken before its time because nobody acknowledged the alerts",
    )


class DeadlineMetData(EventData):
    """What a deadline of services waited for was done, after people had been alerted about it."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency of the referral")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services whose deadline it was")
    clock: str = Field(description="name of the clock, such as `contact`")
    met_at: Instant = Field(description="when, UTC; steps that are taken later are about another deadline")


class ReferralDeadlineMetV1(Event):
    """Sent by routing where no other event says that nobody has to be alerted about a deadline any more."""

    WIRE_NAME: ClassVar[str] = "referral.deadline_met.v1"
    type: Literal["referral.deadline_met.v1"] = "referral.deadline_met.v1"
    # A stream of its own, because the agency does not receive it and would miss a number of the referral's.
    subject: str = Field(pattern=r"^deadline/[0-9a-f-]{36}$", description="the deadline that was met")
    data: DeadlineMetData


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
    """Services that ended with their case or were taken back by the case manager."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services that ended")
    cancelled_at: Instant = Field(description="when, UTC")
    why: CancelReason = Field(default=CancelReason.CASE_ENDED, description="why it ended")


class ReferralCancelledV1(Event):
    """Sent when open services end with their case or are taken back by the case manager."""

    WIRE_NAME: ClassVar[str] = "referral.cancelled.v1"
    type: Literal["referral.cancelled.v1"] = "referral.cancelled.v1"
    data: ReferralCancelledData


class ReferralRevokedData(EventData):
    """Services that ended because the case was decided again."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    services: tuple[ServiceReference, ...] = Field(min_length=1, description="the services that ended")
    why: ReplanReason = Field(description="why the case was decided again")
    revoked_at: Instant = Field(description="when, UTC")


class ReferralRevokedV1(Event):
    """Sent when routing has decided a case again and the agency no longer has to provide these services."""

    WIRE_NAME: ClassVar[str] = "referral.revoked.v1"
    type: Literal["referral.revoked.v1"] = "referral.revoked.v1"
    data: ReferralRevokedData


class ReferralAmendedData(EventData):
    """A referral as it is from now on; the section `facts`, sealed to the agency, replaces the earlier facts."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    services: tuple[RequestedService, ...] = Field(
        min_length=1, description="all services of the referral that have not ended, the most urgent first"
    )
    added: tuple[UUID, ...] = Field(default=(), description="those of them that are new, by `service_id`")
    urgency: Urgency = Field(description="highest urgency of the services")
    answer_by: Instant = Field(
        description="earliest deadline of the services that await an answer, UTC; of all of them if none does"
    )
    agreement: str = Field(default="", description="version of the agreement that requires what was added last")


class ReferralAmendedV1(Event):
    """Sent when services were added to a referral, or its facts, urgency or deadlines have changed.

    New facts travel with it, so that the child is not asked again (R4).
    """

    WIRE_NAME: ClassVar[str] = "referral.amended.v1"
    SECTIONS: ClassVar[Sections] = (ReferralFacts,)
    type: Literal["referral.amended.v1"] = "referral.amended.v1"
    data: ReferralAmendedData


class ReferralConsentWithdrawnData(EventData):
    """A withdrawn consent: the agency has no basis any more to process the child's data for the listed services."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that holds data of the case")
    services: tuple[ServiceReference, ...] = Field(
        default=(),
        description="the services whose consent ended, the most urgent first; those that need no consent continue; "
        "every service of the referral if it is empty",
    )
    withdrawn_at: Instant = Field(description="when, UTC")
    acknowledge_by: Instant = Field(description="deadline for stopping and acknowledging it, UTC")


class ReferralConsentWithdrawnV1(Event):
    """Sent to every agency that accepted services on a consent that ended: stop processing for them, acknowledge it."""

    WIRE_NAME: ClassVar[str] = "referral.consent_withdrawn.v1"
    type: Literal["referral.consent_withdrawn.v1"] = "referral.consent_withdrawn.v1"
    data: ReferralConsentWithdrawnData


class SuggestedExclusions(SectionContent):
    """The agencies reported to be too close to the suspect (tier T1), sealed in the section `suggestions`."""

    SECTION: ClassVar[str] = "suggestions"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    agencies: tuple[str, ...] = Field(description="codes of the agencies; they receive nothing until a person decides")


class ReferralExclusionSuggestedData(EventData):
    """Exclusions that an unverified source suggests; a person of the agency decides about them.

    The suggested agencies are in the section `suggestions`, sealed to the agency that decides.
    """

    referral_id: UUID = Field(description="random reference of the decision; it has no service to accept")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that decides; empty if none is left")
    urgency: Urgency = Field(description="urgency of the case")
    decide_by: Instant = Field(description="a decision is due by then, UTC")
    suggestion_count: int = Field(ge=1, description="number of suggested agencies")
    step: int = Field(ge=0, le=200, description="percentage of the time that has passed: 0, 50, 100 or 200")
    escalation_targets: tuple[str, ...] = Field(
        description="codes of the parties to notify; never an agency whose exclusion is suggested"
    )


class ReferralExclusionSuggestedV1(Event):
    """Sent when a person must decide about suggested exclusions, and again as the deadline approaches and passes."""

    WIRE_NAME: ClassVar[str] = "referral.exclusion_suggested.v1"
    SECTIONS: ClassVar[Sections] = (SuggestedExclusions,)
    type: Literal["referral.exclusion_suggested.v1"] = "referral.exclusion_suggested.v1"
    data: ReferralExclusionSuggestedData


class ReferralExclusionDecidedData(EventData):
    """A decision that is no longer due: all is decided, another agency decides, or the case ended."""

    referral_id: UUID = Field(description="random reference of the decision")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that had to decide; empty if none was left")
    decided_at: Instant = Field(description="when, UTC")


class ReferralExclusionDecidedV1(Event):
    """Sent when an agency no longer has to decide about suggested exclusions."""

    WIRE_NAME: ClassVar[str] = "referral.exclusion_decided.v1"
    type: Literal["referral.exclusion_decided.v1"] = "referral.exclusion_decided.v1"
    data: ReferralExclusionDecidedData

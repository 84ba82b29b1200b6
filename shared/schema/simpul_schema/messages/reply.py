"""Replies of agencies about referrals; routing checks each against the state of the referral."""

from datetime import datetime, timedelta, timezone
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from simpul_schema.envelope import Event, EventData, Instant, SectionContent, Sections
from simpul_schema.vocabulary import DeclineReason, DossierSection, ReferralOutcome

FIRST_APPOINTMENT = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""An earlier time is a typing error; an agency may record a past appointment late."""
LATEST_APPOINTMENT = timedelta(days=731)
"""After the reply; no service of the agreement is planned further ahead."""

MAX_NOTE = 2_000
"""Characters of a note."""


class ReferralReplyData(EventData):
    """The referral and the agency that replies."""

    referral_id: UUID = Field(description="random reference of the referral")
    agency: str = Field(description="code of the agency that replies; must match the source")


class ReplyData(ReferralReplyData):
    """The services that the reply is about."""

    service_ids: tuple[UUID, ...] = Field(
        default=(),
        description="the services, by `service_id`; if empty, every service of the referral to which the reply applies",
    )


class ReplyReferralDeliveredV1(Event):
    """Sent by the agency's system when it has received, verified and opened the referral."""

    WIRE_NAME: ClassVar[str] = "reply.referral.delivered.v1"
    type: Literal["reply.referral.delivered.v1"] = "reply.referral.delivered.v1"
    data: ReferralReplyData


class ReplyReferralAcceptedV1(Event):
    """Sent by the agency when it accepts all or some services of the referral."""

    WIRE_NAME: ClassVar[str] = "reply.referral.accepted.v1"
    type: Literal["reply.referral.accepted.v1"] = "reply.referral.accepted.v1"
    data: ReplyData


class ReplyReferralSeenV1(Event):
    """Sent by the agency when a person opens the referral for the first time."""

    WIRE_NAME: ClassVar[str] = "reply.referral.seen.v1"
    type: Literal["reply.referral.seen.v1"] = "reply.referral.seen.v1"
    data: ReferralReplyData


class DeclineData(ReplyData):
    """The reason for a decline."""

    reason: DeclineReason = Field(description="why the agency declines; routing reroutes each of the services at once")


class ReplyReferralDeclinedV1(Event):
    """Sent by the agency when it declines all or some services, before or after it accepted them.

    One reply has one reason; an agency that has several sends several replies.
    """

    WIRE_NAME: ClassVar[str] = "reply.referral.declined.v1"
    type: Literal["reply.referral.declined.v1"] = "reply.referral.declined.v1"
    data: DeclineData


class ScheduleData(ReplyData):
    """An appointment."""

    scheduled_for: Instant = Field(description="the appointment, UTC")


class ReplyReferralScheduledV1(Event):
    """Sent by the agency when the child has an appointment."""

    WIRE_NAME: ClassVar[str] = "reply.referral.scheduled.v1"
    type: Literal["reply.referral.scheduled.v1"] = "reply.referral.scheduled.v1"
    data: ScheduleData

    @model_validator(mode="after")
    def _has_possible_appointment(self) -> "ReplyReferralScheduledV1":
        if not FIRST_APPOINTMENT <= self.data.scheduled_for <= self.time + LATEST_APPOINTMENT:
            msg = "an appointment lies in the year 2000 or later, and at most two years after the reply"
            raise ValueError(msg)
        return self


class ReplyReferralUnattendedV1(Event):
    """Sent by the agency when the child did not come to an appointment."""

    WIRE_NAME: ClassVar[str] = "reply.referral.unattended.v1"
    type: Literal["reply.referral.unattended.v1"] = "reply.referral.unattended.v1"
    data: ReplyData


class ReplyReferralStartedV1(Event):
    """Sent by the agency when it has started the service; first aid counts."""

    WIRE_NAME: ClassVar[str] = "reply.referral.started.v1"
    type: Literal["reply.referral.started.v1"] = "reply.referral.started.v1"
    data: ReplyData


class CompletionData(ReplyData):
    """The outcome of a service."""

    outcome: ReferralOutcome = Field(description="the outcome")


class ReplyReferralCompletedV1(Event):
    """Sent by the agency when it has completed the service."""

    WIRE_NAME: ClassVar[str] = "reply.referral.completed.v1"
    type: Literal["reply.referral.completed.v1"] = "reply.referral.completed.v1"
    data: CompletionData


class ReplyWithdrawalAcknowledgedV1(Event):
    """Sent by the agency when it has stopped processing after a consent was withdrawn."""

    WIRE_NAME: ClassVar[str] = "reply.withdrawal.acknowledged.v1"
    type: Literal["reply.withdrawal.acknowledged.v1"] = "reply.withdrawal.acknowledged.v1"
    data: ReferralReplyData


class CaseNote(SectionContent):
    """What an agency notes for those who help the child (tier T2), sealed to routing in the section `note`."""

    SECTION: ClassVar[str] = "note"
    RECIPIENT: ClassVar[str] = "routing"

    about: DossierSection = Field(
        description="the section of the dossier that it adds to; who may hold this section may read the note"
    )
    text: str = Field(min_length=1, max_length=MAX_NOTE, description="the note")


class ReplyNoteAddedV1(Event):
    """Sent by an agency that serves the case when it notes something for those who may read it."""

    WIRE_NAME: ClassVar[str] = "reply.note.added.v1"
    SECTIONS: ClassVar[Sections] = (CaseNote,)
    type: Literal["reply.note.added.v1"] = "reply.note.added.v1"
    data: ReferralReplyData

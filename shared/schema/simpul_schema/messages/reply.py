"""What an agency says about a referral; routing judges it."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome


class ReplyData(EventData):
    """Which referral the agency speaks about."""

    referral_id: UUID = Field(description="random reference of the referral")
    agency: str = Field(description="code of the agency that replies; must be the source's")


class ReplyReferralDeliveredV1(Event):
    """Sent by the agency's machine when the referral arrived, verified and opened."""

    WIRE_NAME: ClassVar[str] = "reply.referral.delivered.v1"
    type: Literal["reply.referral.delivered.v1"] = "reply.referral.delivered.v1"
    data: ReplyData


class ReplyReferralAcceptedV1(Event):
    """Sent by the agency when it takes the referral."""

    WIRE_NAME: ClassVar[str] = "reply.referral.accepted.v1"
    type: Literal["reply.referral.accepted.v1"] = "reply.referral.accepted.v1"
    data: ReplyData


class ReplyReferralSeenV1(Event):
    """Sent when a person of the agency opened the referral for the first time."""

    WIRE_NAME: ClassVar[str] = "reply.referral.seen.v1"
    type: Literal["reply.referral.seen.v1"] = "reply.referral.seen.v1"
    data: ReplyData


class DeclineData(ReplyData):
    """Why the agency cannot serve."""

    reason: DeclineReason = Field(description="why; routing reroutes the referral at once")


class ReplyReferralDeclinedV1(Event):
    """Sent by the agency when it cannot serve, before or after it accepted."""

    WIRE_NAME: ClassVar[str] = "reply.referral.declined.v1"
    type: Literal["reply.referral.declined.v1"] = "reply.referral.declined.v1"
    data: DeclineData


class ScheduleData(ReplyData):
    """When the service is to begin."""

    scheduled_for: Instant = Field(description="the appointment, UTC")


class ReplyReferralScheduledV1(Event):
    """Sent by the agency when the child has an appointment."""

    WIRE_NAME: ClassVar[str] = "reply.referral.scheduled.v1"
    type: Literal["reply.referral.scheduled.v1"] = "reply.referral.scheduled.v1"
    data: ScheduleData


class ReplyReferralUnattendedV1(Event):
    """Sent by the agency when the child did not come to the appointment."""

    WIRE_NAME: ClassVar[str] = "reply.referral.unattended.v1"
    type: Literal["reply.referral.unattended.v1"] = "reply.referral.unattended.v1"
    data: ReplyData


class ReplyReferralStartedV1(Event):
    """Sent by the agency when it has begun to serve; first aid counts."""

    WIRE_NAME: ClassVar[str] = "reply.referral.started.v1"
    type: Literal["reply.referral.started.v1"] = "reply.referral.started.v1"
    data: ReplyData


class CompletionData(ReplyData):
    """How the service ended."""

    outcome: ReferralOutcome = Field(description="how it ended")


class ReplyReferralCompletedV1(Event):
    """Sent by the agency when its service has ended."""

    WIRE_NAME: ClassVar[str] = "reply.referral.completed.v1"
    type: Literal["reply.referral.completed.v1"] = "reply.referral.completed.v1"
    data: CompletionData


class ReplyWithdrawalAcknowledgedV1(Event):
    """Sent by the agency when it has stopped processing after a consent was withdrawn."""

    WIRE_NAME: ClassVar[str] = "reply.withdrawal.acknowledged.v1"
    type: Literal["reply.withdrawal.acknowledged.v1"] = "reply.withdrawal.acknowledged.v1"
    data: ReplyData

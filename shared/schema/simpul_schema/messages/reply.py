"""What an agency says about a referral; routing judges it."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData


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

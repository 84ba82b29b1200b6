"""What notify says about an alert."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData
from simpul_schema.vocabulary import AlertChannel, AlertFailure


class AlertSentData(EventData):
    """A provider took the alert; that is not yet a receipt of the handset."""

    alert_id: UUID = Field(description="random reference of the alert")
    referral_id: UUID = Field(description="random reference of the referral")
    channel: AlertChannel = Field(description="how the person was told")
    attempts: int = Field(ge=1, description="how many times it was tried")


class AlertSentV1(Event):
    """Sent when the provider of a channel accepted an alert."""

    WIRE_NAME: ClassVar[str] = "alert.sent.v1"
    type: Literal["alert.sent.v1"] = "alert.sent.v1"
    data: AlertSentData


class AlertFailedData(EventData):
    """An alert that will not be tried again."""

    alert_id: UUID = Field(description="random reference of the alert")
    referral_id: UUID = Field(description="random reference of the referral")
    channel: AlertChannel = Field(description="how the person should have been told")
    attempts: int = Field(ge=0, description="how many times it was tried")
    reason: AlertFailure = Field(description="why it ended")


class AlertFailedV1(Event):
    """Sent when an alert cannot reach this person this way; other ways of the same party go on."""

    WIRE_NAME: ClassVar[str] = "alert.failed.v1"
    type: Literal["alert.failed.v1"] = "alert.failed.v1"
    data: AlertFailedData

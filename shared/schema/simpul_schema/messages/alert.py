"""Events of notify about alerts."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import AlertChannel, AlertFailure, Urgency


class AlertSentData(EventData):
    """A provider accepted the alert; the phone has not confirmed it yet."""

    alert_id: UUID = Field(description="random reference of the alert")
    referral_id: UUID = Field(description="random reference of the referral")
    channel: AlertChannel = Field(description="channel of the alert")
    attempts: int = Field(ge=1, description="number of attempts")
    notification_id: UUID | None = Field(
        default=None, description="the message that carried it; one message may carry several alerts to one person"
    )


class AlertSentV1(Event):
    """Sent when the provider of a channel has accepted an alert."""

    WIRE_NAME: ClassVar[str] = "alert.sent.v1"
    type: Literal["alert.sent.v1"] = "alert.sent.v1"
    data: AlertSentData


class AlertFailedData(EventData):
    """An alert that notify no longer attempts."""

    alert_id: UUID = Field(description="random reference of the alert")
    referral_id: UUID = Field(description="random reference of the referral")
    channel: AlertChannel = Field(description="channel of the alert")
    attempts: int = Field(ge=0, description="number of attempts")
    reason: AlertFailure = Field(description="why it failed")


class AlertFailedV1(Event):
    """Sent when notify gives up an alert to one responder by one channel; alerts by other channels are independent."""

    WIRE_NAME: ClassVar[str] = "alert.failed.v1"
    type: Literal["alert.failed.v1"] = "alert.failed.v1"
    data: AlertFailedData


class AlertExhaustedData(EventData):
    """Everybody whom the escalation policy names was alerted about services, and nobody acknowledged it."""

    referral_id: UUID = Field(description="random reference of the referral, or of the decision that is due")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency that has the referral")
    party: str = Field(description="code of the agency or escalation level whose people were to be alerted first")
    services: tuple[UUID, ...] = Field(description="the `service_id` of each service that nobody took care of")
    clock: str = Field(description="name of the clock that is running, such as `answer`")
    step: int = Field(
        ge=0, description="the step of the clock that alerted them: 0 for the referral itself, 50, 100 or 200"
    )
    urgency: Urgency = Field(description="highest urgency of these services")
    due_at: Instant = Field(description="the deadline, UTC")
    responders: int = Field(ge=0, description="number of people who were alerted")


class AlertExhaustedV1(Event):
    """Sent when nobody could be reached; routing takes the next step of the clock at once."""

    WIRE_NAME: ClassVar[str] = "alert.exhausted.v1"
    type: Literal["alert.exhausted.v1"] = "alert.exhausted.v1"
    subject: str = Field(pattern=r"^escalation/[0-9a-f-]{36}$", description="the escalation of the alerts")
    data: AlertExhaustedData

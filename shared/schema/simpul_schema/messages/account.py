"""What lets an agency know, and prove, that it missed nothing: numbered accounts, and asking for a window again."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simpul_schema.envelope import MAX_NAME, Event, EventData, Instant
from simpul_schema.vocabulary import ParkReason

AGENCY_SUBJECT = r"^agency/[a-z0-9-]+$"
MOST_IN_ACCOUNT = 500
"""Events in one account; more of them make more accounts."""


class AccountedEvent(BaseModel):
    """One event that was sent to the agency, under its number."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    number: int = Field(ge=1, description="number of the event among all that this source sent to this agency")
    event_id: UUID = Field(description="id of the event")
    is_withheld: bool = Field(
        default=False, description="it is not sent again, because the agency was excluded from the case meanwhile"
    )


class ReferralHeartbeatData(EventData):
    """All events between two numbers; none when nothing was sent since the last account."""

    agency: str = Field(description="code of the agency to which the events were sent")
    last_number: int = Field(ge=0, description="the highest number given out so far; 0 when nothing was ever sent")
    events: tuple[AccountedEvent, ...] = Field(
        default=(), max_length=MOST_IN_ACCOUNT, description="the events of this account, in the order of their numbers"
    )
    next_by: Instant = Field(description="another heartbeat comes by then; without it the agency asks or calls, UTC")


class ReferralHeartbeatV1(Event):
    """Sent to each agency at least once in the announced time, and as the answer to a requested window.

    Numbers have no gaps, so whoever holds accounts of 1 to `last_number` and all their events has missed nothing.
    """

    WIRE_NAME: ClassVar[str] = "referral.heartbeat.v1"
    type: Literal["referral.heartbeat.v1"] = "referral.heartbeat.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="the same in all heartbeats of one agency; belongs to no case")
    data: ReferralHeartbeatData


class WindowData(EventData):
    """A window by numbers or by time."""

    agency: str = Field(description="code of the agency that asks; must be the source's")
    first_number: int | None = Field(default=None, ge=1, description="first number wanted, by numbers")
    last_number: int | None = Field(default=None, ge=1, description="last number wanted; empty for all that follow")
    since: Instant | None = Field(default=None, description="start of the window by time, UTC")
    until: Instant | None = Field(default=None, description="end of the window, exclusive; empty for now")

    @model_validator(mode="after")
    def _is_one_window(self) -> "WindowData":
        if (self.first_number is None) == (self.since is None):
            msg = "a window begins at first_number or at since, and not at both"
            raise ValueError(msg)
        if (self.last_number is not None and self.first_number is None) or (
            self.until is not None and self.since is None
        ):
            msg = "a window ends as it begins: by numbers or by time"
            raise ValueError(msg)
        return self


class MessageParkedData(EventData):
    """Which message, and why; never its content."""

    agency: str = Field(description="code of the agency; must be the source's")
    reason: ParkReason = Field(description="why it could not be used")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its bytes, in hexadecimal digits")
    event_id: UUID | None = Field(default=None, description="its event id, where that could be read")


class ReplyMessageParkedV1(Event):
    """Sent by the agency when it has set a message aside: without this the city would think that it arrived."""

    WIRE_NAME: ClassVar[str] = "reply.message.parked.v1"
    type: Literal["reply.message.parked.v1"] = "reply.message.parked.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="belongs to no case; the agency chooses it")
    data: MessageParkedData


class ReplyWindowRequestedV1(Event):
    """Sent by the agency when it misses something: the city sends the window again, with its account."""

    WIRE_NAME: ClassVar[str] = "reply.window.requested.v1"
    type: Literal["reply.window.requested.v1"] = "reply.window.requested.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="belongs to no case; the agency chooses it")
    data: WindowData

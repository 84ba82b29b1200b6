"""Messages by which an agency can prove that it missed nothing: manifests, resend requests, parked messages."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from simpul_schema.envelope import MAX_NAME, ContractModel, Event, EventData, Instant
from simpul_schema.messages.audit import MAX_HEADS, AuditHead
from simpul_schema.vocabulary import ParkReason

AGENCY_SUBJECT = r"^agency/[a-z0-9-]+$"
MAX_MANIFEST_ENTRIES = 500
"""Events in one manifest; further events are listed in further manifests."""


class ManifestEntry(ContractModel):
    """One event that was sent to the agency, under its number."""

    manifest_number: int = Field(ge=1, description="number of the event among all that this source sent to this agency")
    event_id: UUID = Field(description="id of the event")
    is_withheld: bool = Field(
        default=False, description="it is not sent again, because the agency was excluded from the case meanwhile"
    )


class ManifestData(EventData):
    """The events between two numbers; none if nothing was sent since the last manifest."""

    agency: str = Field(description="code of the agency to which the events were sent")
    last_manifest_number: int = Field(ge=0, description="the highest number so far; 0 if nothing was ever sent")
    events: tuple[ManifestEntry, ...] = Field(
        default=(), max_length=MAX_MANIFEST_ENTRIES, description="events of this manifest, in order of their numbers"
    )
    next_by: Instant = Field(
        description="the next manifest arrives by then; if it does not, request a resend and call the city, UTC"
    )
    audit_heads: tuple[AuditHead, ...] = Field(
        default=(),
        max_length=4 * MAX_HEADS,
        description="signed heads of the services' audits, to be kept: a later one that contradicts one of them shows "
        "that somebody rewrote what the city recorded; empty in most manifests",
    )


class AgencyManifestV1(Event):
    """Sent to each agency at regular intervals, and as the answer to a resend request.

    Numbers have no gaps: an agency that holds the manifests of 1 to `last_manifest_number` and all their events has
    missed nothing.
    """

    WIRE_NAME: ClassVar[str] = "agency.manifest.v1"
    type: Literal["agency.manifest.v1"] = "agency.manifest.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="the same in all manifests of one agency; belongs to no case")
    data: ManifestData


class ResendRequestData(EventData):
    """A range of events, by numbers or by time."""

    agency: str = Field(description="code of the agency that requests; must match the source")
    first_manifest_number: int | None = Field(default=None, ge=1, description="first number, of a range by numbers")
    last_manifest_number: int | None = Field(
        default=None, ge=1, description="last number; empty for all that follow the first"
    )
    since: Instant | None = Field(default=None, description="start, of a range by time, UTC")
    until: Instant | None = Field(default=None, description="end, exclusive; empty for now, UTC")

    @model_validator(mode="after")
    def _is_one_range(self) -> "ResendRequestData":
        if (self.first_manifest_number is None) == (self.since is None):
            msg = "a range starts at either first_manifest_number or since"
            raise ValueError(msg)
        if (self.last_manifest_number is not None and self.first_manifest_number is None) or (
            self.until is not None and self.since is None
        ):
            msg = "a range has both ends as numbers or both as times"
            raise ValueError(msg)
        return self


class ReplyResendRequestedV1(Event):
    """Sent by the agency when it misses events: the city sends the range again, with a manifest of it."""

    WIRE_NAME: ClassVar[str] = "reply.resend.requested.v1"
    type: Literal["reply.resend.requested.v1"] = "reply.resend.requested.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="belongs to no case; the agency chooses it")
    data: ResendRequestData


class ParkedMessageData(EventData):
    """Which message was parked, and why; never its content."""

    agency: str = Field(description="code of the agency; must match the source")
    reason: ParkReason = Field(description="why it could not be used")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its bytes, in hexadecimal digits")
    event_id: UUID | None = Field(default=None, description="its event id, where that could be read")


class ReplyMessageParkedV1(Event):
    """Sent by the agency when it has parked a message; otherwise the city would think that it arrived."""

    WIRE_NAME: ClassVar[str] = "reply.message.parked.v1"
    type: Literal["reply.message.parked.v1"] = "reply.message.parked.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="belongs to no case; the agency chooses it")
    data: ParkedMessageData

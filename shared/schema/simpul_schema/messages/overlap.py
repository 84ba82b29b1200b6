"""What intake and routing publish about cases that may be about the same child."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData, Instant


class OverlapSuspectedData(EventData):
    """Two cases that may be about the same child; who the child is stays in the vault."""

    case_id: UUID = Field(description="random reference of the case whose facts were searched last")
    other_case_id: UUID = Field(description="random reference of the case that was found")
    is_likely: bool = Field(description="whether so much agrees that it is hardly a coincidence")
    suspected_at: Instant = Field(description="when the overlap was found, UTC")


class OverlapSuspectedV1(Event):
    """Sent by intake when two cases may be about the same child, and again when that has become likely."""

    WIRE_NAME: ClassVar[str] = "overlap.suspected.v1"
    type: Literal["overlap.suspected.v1"] = "overlap.suspected.v1"
    # Each overlap has its own stream, so consumers can follow overlaps without following cases.
    subject: str = Field(pattern=r"^overlap/[0-9a-f-]{36}$", description="the overlap")
    data: OverlapSuspectedData


class OverlapDismissedData(EventData):
    """A person says that two cases are not about the same child."""

    case_id: UUID = Field(description="random reference of one case")
    other_case_id: UUID = Field(description="random reference of the other case")
    dismissed_at: Instant = Field(description="when, UTC")


class OverlapDismissedV1(Event):
    """Sent by routing when a person dismissed the suspicion that two cases are about the same child."""

    WIRE_NAME: ClassVar[str] = "overlap.dismissed.v1"
    type: Literal["overlap.dismissed.v1"] = "overlap.dismissed.v1"
    subject: str = Field(pattern=r"^overlap/[0-9a-f-]{36}$", description="the overlap")
    data: OverlapDismissedData

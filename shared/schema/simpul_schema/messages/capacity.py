"""What an agency can take: how many open cases for each service, or until when it is full."""

from datetime import date, timedelta
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from simpul_schema.envelope import MAX_NAME, ContractModel, Event, EventData
from simpul_schema.messages.delivery import AGENCY_SUBJECT
from simpul_schema.vocabulary import Service

MAX_OPEN_CASES = 10_000
LONGEST_FULL = timedelta(days=366)
"""After the statement; nobody knows further ahead, and a mistaken year must not keep children away for ever."""


class StatedCapacity(ContractModel):
    """What the agency can take for one service; neither a limit nor a day means that it can take every case."""

    service: Service = Field(description="the service")
    max_open_cases: int | None = Field(
        default=None, ge=1, le=MAX_OPEN_CASES, description="how many open cases the agency can take at once"
    )
    full_until: date | None = Field(
        default=None, description="the agency takes no new case up to this day and on it, by the city's calendar"
    )


class StatedCapacities(EventData):
    """What the agency can take; each replaces what it stated before about the same service."""

    agency: str = Field(description="code of the agency; must match the source")
    services: tuple[StatedCapacity, ...] = Field(
        min_length=1, max_length=100, description="the services that the statement is about; others stay as they were"
    )


class ReplyCapacityStatedV1(Event):
    """Sent by the agency when what it can take changes; the city offers new cases to the next agency meanwhile.

    It never concerns a case that the agency has, nor what protects life, body or evidence.
    """

    WIRE_NAME: ClassVar[str] = "reply.capacity.stated.v1"
    type: Literal["reply.capacity.stated.v1"] = "reply.capacity.stated.v1"
    subject: str = Field(pattern=AGENCY_SUBJECT, max_length=MAX_NAME, description="the agency, as agency/<code>")
    correlationid: UUID = Field(description="belongs to no case; the agency chooses it")
    data: StatedCapacities

    @model_validator(mode="after")
    def _ends_within_a_year(self) -> "ReplyCapacityStatedV1":
        latest = (self.time + LONGEST_FULL).date()
        if any(one.full_until and one.full_until > latest for one in self.data.services):
            msg = "an agency is full for a year at most; state it again then"
            raise ValueError(msg)
        return self

"""What concerns no single referral and a person must know: a silent agency, an unread message, a breach."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import Event, EventData, Instant
from simpul_schema.vocabulary import AgencyAlarm

_ALARM_SUBJECT = r"^alarm/[0-9a-f-]{36}$"


class AgencyAlarmData(EventData):
    """What is wrong with the system of an agency, or that it is right again."""

    alarm_id: UUID = Field(description="reference of the alarm; the same when it ends")
    agency: str = Field(description="code of the agency")
    alarm: AgencyAlarm = Field(description="what is wrong")
    since: Instant = Field(description="when it began, UTC")
    is_over: bool = Field(default=False, description="whether it is right again, so that nobody has to know any more")


class AgencyAlarmV1(Event):
    """Sent by routing when an agency does not see its referrals: its leads and the coordinator must know."""

    WIRE_NAME: ClassVar[str] = "agency.alarm.v1"
    type: Literal["agency.alarm.v1"] = "agency.alarm.v1"
    subject: str = Field(pattern=_ALARM_SUBJECT, description="the alarm")
    correlationid: UUID = Field(description="reference of the alarm; belongs to no case")
    data: AgencyAlarmData


class BreachFoundData(EventData):
    """A breach of personal data whose notices are due, without whose data and which."""

    breach_id: UUID = Field(description="random reference of the breach")
    found_at: Instant = Field(description="when it was found, UTC")
    due_at: Instant = Field(description="when the notices are due by law, UTC")
    is_over: bool = Field(default=False, description="whether every notice was given")


class BreachFoundV1(Event):
    """Sent by intake when the clock of a breach starts, and when every notice was given."""

    WIRE_NAME: ClassVar[str] = "breach.found.v1"
    type: Literal["breach.found.v1"] = "breach.found.v1"
    subject: str = Field(pattern=_ALARM_SUBJECT, description="the breach, as alarm/<id>")
    correlationid: UUID = Field(description="reference of the breach; belongs to no case")
    data: BreachFoundData

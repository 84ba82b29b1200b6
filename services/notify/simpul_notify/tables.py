"""Tables of notify: alerts, who is alerted next, and what makes an alert unnecessary."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)
_UUIDS = ARRAY(Uuid)


def _default(value: str) -> dict[str, object]:
    return {"server_default": text(value)}


class NotifyTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class AlertRow(NotifyTable, table=True):
    """What one responder must know by one channel about services of a referral."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("cause", "responder", "channel"),
        Index("alert_case", "case_id"),
        Index("alert_pending", "due_at", postgresql_where=text("state = 'pending'")),
        Index("alert_pending_recipient", "responder", "channel", postgresql_where=text("state = 'pending'")),
    )
    alert_id: UUID = Field(primary_key=True)
    cause: UUID
    """Id of the event that the alert is about."""
    referral_id: UUID
    case_id: UUID
    services: list[UUID] = Field(sa_type=_UUIDS)
    """The services of the referral that the alert is about; for a decision about exclusions, its reference."""
    step: int = Field(sa_type=SmallInteger)
    """The value of an `Occasion`."""
    clock: str = Field(sa_type=Text, sa_column_kwargs=_default("'answer'"))
    agency: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    party: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    for_parties: list[str] = Field(sa_type=ARRAY(Text), sa_column_kwargs=_default("'{}'"))
    """The parties whose escalations alerted the responder; an answer is about those."""
    responder: str = Field(sa_type=Text)
    channel: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    deadline: datetime = Field(sa_type=_MOMENT)
    needed_until: int = Field(sa_type=SmallInteger, sa_column_kwargs=_default("1"))
    """The value of the `Progress` that makes the alert unnecessary."""
    state: str = Field(sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    """Why the alert failed or was suppressed."""
    attempts: int = Field(sa_type=SmallInteger)
    due_at: datetime = Field(sa_type=_MOMENT)
    """When it leaves; earlier, if something else leaves for the same recipient before."""
    postponed_until: datetime | None = Field(default=None, sa_type=_MOMENT)
    """Since when the responder may be contacted, if the contact rules withheld it before."""
    leased_until: datetime | None = Field(default=None, sa_type=_MOMENT)
    """Until then it belongs to the process that sends it."""
    notification_id: UUID | None = None
    """The message that carried it, or carries it now."""
    created_at: datetime = Field(sa_type=_MOMENT)
    settled_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    acknowledged_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the responder confirmed to be on it."""
    passed_on_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the responder asked that somebody else takes it."""


class NotificationRow(NotifyTable, table=True):
    """A message that was handed to a provider, or is being handed over, and what the responder answered."""

    __tablename__ = "notification"
    __table_args__ = (
        UniqueConstraint("report_digest"),
        UniqueConstraint("link_digest"),
        Index("notification_recipient", "responder", "created_at"),
    )
    notification_id: UUID = Field(primary_key=True)
    responder: str = Field(sa_type=Text)
    channel: str = Field(sa_type=Text)
    address_digest: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    """Of the number or address, see `digest_address`; empty in rows of an earlier version."""
    alerts: list[UUID] = Field(sa_type=_UUIDS)
    report_digest: bytes = Field(sa_type=LargeBinary)
    """Digest of the token with which a provider reports about it."""
    link_digest: bytes = Field(sa_type=LargeBinary)
    """Digest of the token in its link."""
    created_at: datetime = Field(sa_type=_MOMENT)
    answer: str | None = Field(default=None, sa_type=Text)
    """The value of an `Answer`."""
    answered_by: str | None = Field(default=None, sa_type=Text)
    """`link` or `sms`."""
    answered_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class DeliveryRow(NotifyTable, table=True):
    """What is known about a message at one provider."""

    __tablename__ = "delivery"
    __table_args__ = (Index("delivery_accepted", "accepted_at"),)
    notification_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("notification.notification_id", ondelete="CASCADE"), primary_key=True)
    )
    provider: str = Field(primary_key=True, sa_type=Text)
    state: int = Field(sa_type=SmallInteger)
    """The value of a `DeliveryState`; it only increases."""
    state_at: datetime = Field(sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the provider took it; a report may come before."""
    reference: str | None = Field(default=None, sa_type=Text)
    """The provider's own number of the message."""


class EscalationRow(NotifyTable, table=True):
    """What a party must know because of one event, and when the next contact method or person is tried."""

    __tablename__ = "escalation"
    __table_args__ = (
        UniqueConstraint("cause", "party"),
        Index("escalation_due", "due_at", postgresql_where=text("state = 'open'")),
        Index("escalation_case", "case_id", postgresql_where=text("state = 'open'")),
        Index(
            "escalation_unanswered",
            "ended_at",
            postgresql_where=text("step = 200 AND state <> 'open' AND repeated_at IS NULL"),
        ),
        Index("escalation_unalerted", "opened_at", postgresql_where=text("alerted_at IS NULL AND state <> 'ended'")),
    )
    escalation_id: UUID = Field(primary_key=True)
    cause: UUID
    """Id of the event; the alerts of the escalation have the same."""
    party: str = Field(sa_type=Text)
    """The agency or escalation level that must know first."""
    referral_id: UUID
    case_id: UUID
    services: list[UUID] = Field(sa_type=_UUIDS)
    occasion: int = Field(sa_type=SmallInteger)
    """The value of an `Occasion`."""
    step: int = Field(sa_type=SmallInteger)
    """The step of the clock: 0 for the referral itself, 50, 100 or 200."""
    clock: str = Field(sa_type=Text)
    agency: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    deadline: datetime = Field(sa_type=_MOMENT)
    needed_until: int = Field(sa_type=SmallInteger)
    event_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When its event happened by its publisher; unknown in rows of an earlier version."""
    state: str = Field(sa_type=Text)
    """The value of an `EscalationState`."""
    opened_at: datetime = Field(sa_type=_MOMENT)
    waiting_since: datetime = Field(sa_type=_MOMENT)
    """When the wait of the person alerted last began again, if nothing ran when it should have ended."""
    due_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the next step is taken; NULL if none follows by time."""
    alerted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When a provider accepted its first message."""
    exhausted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When notify published that nobody could be reached."""
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    repeated_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the next one about the same was opened, or found to be needless; for those at twice the deadline."""


class ReachCheckRow(NotifyTable, table=True):
    """The weekly message to one number or address, by which its person proves to be reachable."""

    __tablename__ = "reach_check"
    __table_args__ = (Index("reach_check_due", "due_at"),)
    responder: str = Field(primary_key=True, sa_type=Text)
    method: str = Field(primary_key=True, sa_type=Text)
    """`sms`, `mail`, or `sms/2` for a second number, as the roster had it when the message was due."""
    address_digest: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    """Of the number or address that is to be proved; empty in rows of an earlier version."""
    due_at: datetime = Field(primary_key=True, sa_type=_MOMENT)
    """When the message of the week was due, the same for everybody."""
    state: str = Field(sa_type=Text)
    problem: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    """Why no provider has taken it."""
    notification_id: UUID | None = None
    not_before: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When it is tried next, or until when it belongs to the process that sends it."""


class ReferralServiceRow(NotifyTable, table=True):
    """A service of a referral as the events described it last; urgency and deadline are unknown in older rows."""

    __tablename__ = "referral_service"
    service_id: UUID = Field(primary_key=True)
    urgency: str | None = Field(default=None, sa_type=Text)
    answer_by: datetime | None = Field(default=None, sa_type=_MOMENT)
    progress: int = Field(sa_type=SmallInteger)
    """The value of a `Progress`."""


class MetDeadlineRow(NotifyTable, table=True):
    """When a deadline of a service was met last, where its progress does not show it."""

    __tablename__ = "met_deadline"
    service_id: UUID = Field(primary_key=True)
    clock: str = Field(primary_key=True, sa_type=Text)
    met_at: datetime = Field(sa_type=_MOMENT)


class ExcludedPartyRow(NotifyTable, table=True):
    """A party that receives no further alerts of a case."""

    __tablename__ = "excluded_party"
    case_id: UUID = Field(primary_key=True)
    party: str = Field(primary_key=True, sa_type=Text)


class RosterChangeRow(NotifyTable, table=True):
    """An absence or a shift that an agency's lead entered at the desk; one that is removed is in the audit only."""

    __tablename__ = "roster_change"
    __table_args__ = (Index("roster_change_end", "ends_at"),)
    change_id: UUID = Field(primary_key=True)
    party: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    """The value of a `ChangeKind`."""
    responder: str = Field(sa_type=Text)
    starts_at: datetime = Field(sa_type=_MOMENT)
    ends_at: datetime = Field(sa_type=_MOMENT)
    added_by: UUID
    """Reference of the person who entered it."""
    added_at: datetime = Field(sa_type=_MOMENT)

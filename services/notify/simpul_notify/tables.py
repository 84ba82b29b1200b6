"""Tables of notify: alerts, and what makes an alert unnecessary."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)


def _default(value: str) -> dict[str, object]:
    return {"server_default": text(value)}


class NotifyTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class AlertRow(NotifyTable, table=True):
    """One notification to one responder about one step of one deadline of a referral."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("referral_id", "step", "responder", "channel", "clock"),
        Index("alert_pending", "due_at", postgresql_where=text("state = 'pending'")),
        Index("alert_pending_case", "case_id", postgresql_where=text("state = 'pending'")),
    )
    alert_id: UUID = Field(primary_key=True)
    referral_id: UUID
    case_id: UUID
    step: int = Field(sa_type=SmallInteger)
    """The value of an `Occasion`."""
    clock: str = Field(sa_type=Text, sa_column_kwargs=_default("'answer'"))
    agency: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
    party: str = Field(sa_type=Text, sa_column_kwargs=_default("''"))
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
    created_at: datetime = Field(sa_type=_MOMENT)
    settled_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class ReferralProgressRow(NotifyTable, table=True):
    """How far a referral has progressed; there is no row while it is only offered."""

    __tablename__ = "referral_progress"
    referral_id: UUID = Field(primary_key=True)
    progress: int = Field(sa_type=SmallInteger)


class ExcludedPartyRow(NotifyTable, table=True):
    """A party that receives no further alerts of a case."""

    __tablename__ = "excluded_party"
    case_id: UUID = Field(primary_key=True)
    party: str = Field(primary_key=True, sa_type=Text)

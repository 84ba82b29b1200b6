"""Tables of notify: every alert, before it is sent and after."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)


class NotifyTable(SQLModel, registry=_REGISTRY):
    """Base with a registry of its own, so that services in one process never mix their tables."""


class AlertRow(NotifyTable, table=True):
    """One message to one person about one step of one referral."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("referral_id", "step", "contact", "channel"),
        Index("alert_pending", "due_at", postgresql_where=text("state = 'pending'")),
    )
    alert_id: UUID = Field(primary_key=True)
    referral_id: UUID
    case_id: UUID
    step: int = Field(sa_type=SmallInteger)
    contact: str = Field(sa_type=Text)
    channel: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    answer_by: datetime = Field(sa_type=_MOMENT)
    state: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=SmallInteger)
    due_at: datetime = Field(sa_type=_MOMENT)
    created_at: datetime = Field(sa_type=_MOMENT)
    settled_at: datetime | None = Field(default=None, sa_type=_MOMENT)

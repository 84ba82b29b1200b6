"""Tables of the desk: one row per referral, built from events."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Computed, DateTime, Index, SmallInteger, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)
_ZERO = {"server_default": text("0")}


class DeskTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class BoardRow(DeskTable, table=True):
    """The state of a referral according to the events received so far; events of different sources arrive unordered."""

    __tablename__ = "board"
    __table_args__ = (
        Index("board_waiting", "answer_by", postgresql_where=text("accepted_at IS NULL AND ended_as IS NULL")),
        Index("board_late", "late_since", postgresql_where=text("late_since IS NOT NULL AND ended_as IS NULL")),
        Index("board_accepted", "accepted_at", postgresql_where=text("accepted_at IS NOT NULL AND ended_as IS NULL")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    agency: str | None = Field(default=None, sa_type=Text)
    service: str | None = Field(default=None, sa_type=Text)
    urgency: str | None = Field(default=None, sa_type=Text)
    answer_by: datetime | None = Field(default=None, sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    ended_as: str | None = Field(default=None, sa_type=Text)
    """How the referral ended: rerouted, completed, cancelled, revoked."""
    unanswered_since: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest missed deadline that an answer stops."""
    unserved_since: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest missed deadline that only the start of the service stops."""
    late_since: datetime | None = Field(
        default=None,
        sa_type=_MOMENT,
        sa_column_args=(Computed("least(unanswered_since, unserved_since)", persisted=True),),
    )
    unanswered_step: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    """100 when such a deadline has passed, 200 when twice its time has passed."""
    unserved_step: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    alerts_sent: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    alerts_failed: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)

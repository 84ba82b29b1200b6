"""Tables of routing: plans of cases, referrals, replies that were refused."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)


class RoutingTable(SQLModel, registry=_REGISTRY):
    """Base with a registry of its own, so that services in one process never mix their tables."""


class CasePlanRow(RoutingTable, table=True):
    """What was decided for a case."""

    __tablename__ = "case_plan"
    case_id: UUID = Field(primary_key=True)
    urgency: str = Field(sa_type=Text)
    mediation_locked: bool
    agreement: str = Field(sa_type=Text)
    situation: bytes = Field(sa_type=LargeBinary)
    """The facts that were decided on, locked with routing's own key."""
    decided_at: datetime = Field(sa_type=_MOMENT)


class ReferralRow(RoutingTable, table=True):
    """One service asked of one agency."""

    __tablename__ = "referral"
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_plan.case_id", index=True)
    agency: str = Field(sa_type=Text)
    service: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    agreement: str = Field(sa_type=Text)
    clauses: list[str] = Field(sa_type=ARRAY(Text))
    state: str = Field(sa_type=Text)
    answer_by: datetime = Field(sa_type=_MOMENT)
    offered_at: datetime = Field(sa_type=_MOMENT)
    delivered_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class RefusedReplyRow(RoutingTable, table=True):
    """A reply that changed nothing, with the reason."""

    __tablename__ = "refused_reply"
    event_id: UUID = Field(primary_key=True)
    referral_id: UUID
    agency: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    refused_at: datetime = Field(sa_type=_MOMENT, sa_column_kwargs={"server_default": text("now()")})

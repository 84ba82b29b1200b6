"""Tables of routing: plans of cases, referrals, replies that were refused."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, LargeBinary, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)


class RoutingTable(SQLModel, registry=_REGISTRY):
    """Base with a registry of its own, so that services in one process never mix their tables."""


class CasePlanRow(RoutingTable, table=True):
    """What was decided for a case."""

    __tablename__ = "case_plan"
    __table_args__ = (Index("case_plan_twins", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),)
    case_id: UUID = Field(primary_key=True)
    state: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    urgency_from_facts: str = Field(sa_type=Text)
    """What the facts alone said when it was last decided; a person may have raised or lowered it since."""
    mediation_locked: bool
    agreement: str = Field(sa_type=Text)
    agreement_digest: str = Field(sa_type=Text)
    """Of the text that decided; a version's name alone could be given to another."""
    situation: bytes = Field(sa_type=LargeBinary)
    """The facts that were decided on, locked with routing's own key."""
    rights: dict[str, Any] = Field(sa_type=JSONB)
    """The ledger: right -> its state and reason."""
    ended_as: str | None = Field(default=None, sa_type=Text)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    merged_into: UUID | None = None
    version: int = 1
    decided_at: datetime = Field(sa_type=_MOMENT)


class ReferralRow(RoutingTable, table=True):
    """One service asked of one agency."""

    __tablename__ = "referral"
    __table_args__ = (
        Index("referral_rerouted_from", "rerouted_from", postgresql_where=text("rerouted_from IS NOT NULL")),
        Index("referral_offered", "offered_at"),
        Index("referral_worklist", "agency", "answer_by", "referral_id", postgresql_where=text("ended_at IS NULL")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_plan.case_id", index=True)
    agency: str = Field(sa_type=Text)
    service: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    agreement: str = Field(sa_type=Text)
    clauses: bytes = Field(sa_type=LargeBinary)
    """The clauses that ask for it, locked with routing's own key: they tell what happened to the child."""
    state: str = Field(sa_type=Text)
    answer_by: datetime = Field(sa_type=_MOMENT)
    urgency: str = Field(sa_type=Text)
    reroute_count: int = Field(default=0, sa_type=SmallInteger)
    rerouted_from: UUID | None = None
    raised_service: str | None = Field(default=None, sa_type=Text)
    """Of a manual triage: the service that is still owed, and whether its lead or its support is."""
    raised_role: str | None = Field(default=None, sa_type=Text)
    by_hand: bool = False
    version: int = 1
    offered_at: datetime = Field(sa_type=_MOMENT)
    delivered_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    seen_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    started_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the service began for the first time; first aid counts."""
    outcome: str | None = Field(default=None, sa_type=Text)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class TransitionRow(RoutingTable, table=True):
    """Every change of a referral or a case, never altered: who, when, why, caused by which event."""

    __tablename__ = "transition"
    __table_args__ = (Index("transition_of_case", "case_id", "position"),)
    transition_id: UUID = Field(primary_key=True)
    case_id: UUID
    referral_id: UUID | None = None
    agency: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    before: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)
    reason: str = Field(default="", sa_type=Text)
    """A code; what a person wrote stands in `note`."""
    note: bytes = Field(default=b"", sa_type=LargeBinary)
    """Locked with routing's own key, because people write names."""
    causation_id: UUID | None = None
    at: datetime = Field(sa_type=_MOMENT)
    position: int | None = Field(default=None, sa_type=BigInteger, sa_column_args=(Identity(always=True),))
    """The order in which they were written."""


class ClockRow(RoutingTable, table=True):
    """One deadline of one referral; `next_at` is empty once it was stopped or all its steps were taken."""

    __tablename__ = "clock"
    __table_args__ = (Index("clock_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),)
    referral_id: UUID = Field(primary_key=True)
    clock: str = Field(primary_key=True, sa_type=Text)
    started_at: datetime = Field(sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    step: str | None = Field(default=None, sa_type=Text)
    next_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    stopped_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class ExclusionReviewRow(RoutingTable, table=True):
    """An agency whose people are asked about suggested exclusions; one at a time for each case."""

    __tablename__ = "exclusion_review"
    __table_args__ = (
        Index("exclusion_review_open", "case_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("exclusion_review_list", "due_at", "referral_id", postgresql_where=text("closed_at IS NULL")),
        Index("exclusion_review_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    agency: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    step: str | None = Field(default=None, sa_type=Text)
    next_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    closed_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class AgencyAccountRow(RoutingTable, table=True):
    """How many events went to an agency."""

    __tablename__ = "agency_account"
    agency: str = Field(primary_key=True, sa_type=Text)
    last_number: int = Field(sa_type=BigInteger)
    unheard: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """Heartbeats since the agency said anything."""


class RefusedReplyRow(RoutingTable, table=True):
    """A reply that changed nothing, with the reason."""

    __tablename__ = "refused_reply"
    event_id: UUID = Field(primary_key=True)
    referral_id: UUID
    agency: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    refused_at: datetime = Field(sa_type=_MOMENT, sa_column_kwargs={"server_default": text("now()")})

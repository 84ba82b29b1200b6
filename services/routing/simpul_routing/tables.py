"""Tables of routing."""

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
    """Base with a registry of its own, so that services in one process do not mix their tables."""


class CasePlanRow(RoutingTable, table=True):
    """A case: the decision, its facts and the rights ledger."""

    __tablename__ = "case_plan"
    __table_args__ = (Index("case_plan_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),)
    case_id: UUID = Field(primary_key=True)
    state: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    urgency_from_facts: str = Field(sa_type=Text)
    """The urgency by the facts alone at the last decision; a person may have changed `urgency` since."""
    mediation_locked: bool
    agreement: str = Field(sa_type=Text)
    agreement_digest: str = Field(sa_type=Text)
    """SHA-256 of the agreement's text, because the name of a version could be used twice."""
    situation: bytes = Field(sa_type=LargeBinary)
    """The facts behind the decision, encrypted with routing's own key; see `stored_facts`."""
    rights: dict[str, Any] = Field(sa_type=JSONB)
    """The rights ledger: right -> state and reason."""
    ended_as: str | None = Field(default=None, sa_type=Text)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    merged_into: UUID | None = None
    version: int = 1
    decided_at: datetime = Field(sa_type=_MOMENT)


class ReferralRow(RoutingTable, table=True):
    """One service offered to one agency."""

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
    """The clauses that require it, encrypted with routing's own key because they reveal what happened to the child."""
    state: str = Field(sa_type=Text)
    answer_by: datetime = Field(sa_type=_MOMENT)
    urgency: str = Field(sa_type=Text)
    reroute_count: int = Field(default=0, sa_type=SmallInteger)
    rerouted_from: UUID | None = None
    escalated_service: str | None = Field(default=None, sa_type=Text)
    """Of a manual triage: the service that was escalated to the hub, still outstanding."""
    escalated_role: str | None = Field(default=None, sa_type=Text)
    by_hand: bool = False
    version: int = 1
    offered_at: datetime = Field(sa_type=_MOMENT)
    delivered_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    seen_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    started_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the service first started; first aid counts."""
    outcome: str | None = Field(default=None, sa_type=Text)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class TransitionRow(RoutingTable, table=True):
    """The append-only history of a case and its referrals: actor, time, reason and the event that caused the change."""

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
    """A code; free text is in `note`."""
    note: bytes = Field(default=b"", sa_type=LargeBinary)
    """Encrypted with routing's own key, because people write names."""
    causation_id: UUID | None = None
    at: datetime = Field(sa_type=_MOMENT)
    position: int | None = Field(default=None, sa_type=BigInteger, sa_column_args=(Identity(always=True),))
    """The order of insertion."""


class ClockRow(RoutingTable, table=True):
    """One clock of one referral; `next_at` is NULL once it was stopped or its last step was taken."""

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
    """A request to an agency to decide about suggested exclusions; each case has at most one open review."""

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


class AgencyManifestRow(RoutingTable, table=True):
    """The manifests of one agency."""

    __tablename__ = "agency_manifest"
    agency: str = Field(primary_key=True, sa_type=Text)
    last_manifest_number: int = Field(sa_type=BigInteger)
    """The highest number of an event sent to the agency."""
    missed_manifests: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """Manifests published since the agency last sent anything."""


class ResendRequestRow(RoutingTable, table=True):
    """A request of an agency for a range of events, until the manifest loop has answered it."""

    __tablename__ = "resend_request"
    __table_args__ = (Index("resend_request_due", "due_at", "event_id"),)
    event_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    first_number: int | None = Field(default=None, sa_type=BigInteger)
    last_number: int | None = Field(default=None, sa_type=BigInteger)
    since: datetime | None = Field(default=None, sa_type=_MOMENT)
    until: datetime | None = Field(default=None, sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    """Later than the request only after an answer failed."""


class RefusedReplyRow(RoutingTable, table=True):
    """A refused reply and the reason."""

    __tablename__ = "refused_reply"
    event_id: UUID = Field(primary_key=True)
    referral_id: UUID
    agency: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    refused_at: datetime = Field(sa_type=_MOMENT, sa_column_kwargs={"server_default": text("now()")})

"""Tables of routing."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from simpul_runtime.tables import define_messaging_tables

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)
_NUMBERED = "exchange = 'simpul.referrals' AND number > 0"

MESSAGING = define_messaging_tables(
    Column("number", BigInteger),
    Index("outbox_unnumbered", "created_at", postgresql_where=text("exchange = 'simpul.referrals' AND number IS NULL")),
    Index("outbox_heartbeats", "created_at", postgresql_where=text("number = 0")),
    Index("outbox_numbered", text("split_part(routing_key, '.', 2)"), "number", postgresql_where=text(_NUMBERED)),
    Index(
        "outbox_numbered_at", text("split_part(routing_key, '.', 2)"), "created_at", postgresql_where=text(_NUMBERED)
    ),
)
"""The message tables; routing numbers the outbox messages of each agency once a manifest has listed them."""


class RoutingTable(SQLModel, registry=_REGISTRY):
    """Base with a registry of its own, so that services in one process do not mix their tables."""


class CasePlanRow(RoutingTable, table=True):
    """A case: the decision, its facts and the rights ledger."""

    __tablename__ = "case_plan"
    __table_args__ = (
        Index("case_plan_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
        Index("case_plan_with_exclusions", "case_id", postgresql_where=text("has_exclusions")),
    )
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
    has_exclusions: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """Whether the facts may exclude an agency; which one, only the facts say."""
    rights: dict[str, Any] = Field(sa_type=JSONB)
    """The rights ledger: right -> state and reason."""
    ended_as: str | None = Field(default=None, sa_type=Text)
    ended_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    merged_into: UUID | None = None
    version: int = 1
    decided_at: datetime = Field(sa_type=_MOMENT)


class ReferralRow(RoutingTable, table=True):
    """One case and one agency, with services in `referral_service`."""

    __tablename__ = "referral"
    __table_args__ = (
        UniqueConstraint("case_id", "agency", name="referral_of_case_and_agency"),
        Index(
            "referral_worklist", "agency", "answer_by", "referral_id", postgresql_where=text("answer_by IS NOT NULL")
        ),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_plan.case_id")
    agency: str = Field(sa_type=Text)
    offered_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the agency was offered its first services; NULL if no agency may receive them."""
    answer_by: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the next answer of the agency is due, by its open services; NULL if it has none."""


class ReferralServiceRow(RoutingTable, table=True):
    """One service asked of the agency of a referral."""

    __tablename__ = "referral_service"
    __table_args__ = (
        Index("referral_service_of_referral", "referral_id"),
        Index("referral_service_rerouted_from", "rerouted_from", postgresql_where=text("rerouted_from IS NOT NULL")),
        Index("referral_service_offered", "offered_at"),
    )
    service_id: UUID = Field(primary_key=True)
    referral_id: UUID = Field(foreign_key="referral.referral_id")
    position: int = Field(sa_type=SmallInteger)
    """Services of a referral are numbered as they are added to it."""
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
    """The declined service that it replaces."""
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


class CaseEventRow(RoutingTable, table=True):
    """One entry of the append-only history of a case and its services."""

    __tablename__ = "case_event"
    __table_args__ = (Index("case_event_of_case", "case_id", "position"),)
    event_id: UUID = Field(primary_key=True)
    case_id: UUID
    referral_id: UUID | None = None
    service_id: UUID | None = None
    kind: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    """The reference of a person, the code of an agency, or `routing`."""
    actor_agency: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    """The agency for which a person acted."""
    actor_role: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    payload: dict[str, Any] = Field(sa_type=JSONB)
    """The fields of the kind; see `domain.case_events`."""
    note: bytes = Field(default=b"", sa_type=LargeBinary)
    """Encrypted with routing's own key, because people write names."""
    causation_id: UUID | None = None
    at: datetime = Field(sa_type=_MOMENT)
    position: int | None = Field(default=None, sa_type=BigInteger, sa_column_args=(Identity(always=True),))
    """The order of insertion."""


class ClockRow(RoutingTable, table=True):
    """One clock of one service; `next_at` is NULL once it was stopped or its last step was taken."""

    __tablename__ = "clock"
    __table_args__ = (Index("clock_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),)
    service_id: UUID = Field(primary_key=True)
    clock: str = Field(primary_key=True, sa_type=Text)
    started_at: datetime = Field(sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    step: str | None = Field(default=None, sa_type=Text)
    next_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    stopped_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    half_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When half of the time has passed, if it is counted in office hours or working days; NULL otherwise."""
    twice_at: datetime | None = Field(default=None, sa_type=_MOMENT)


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


class ServicePlanRow(RoutingTable, table=True):
    """A proposed service plan; each case has at most one that is open."""

    __tablename__ = "service_plan"
    __table_args__ = (
        Index("service_plan_open", "case_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("service_plan_list", "due_at", "referral_id", postgresql_where=text("closed_at IS NULL")),
        Index("service_plan_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    agency: str = Field(sa_type=Text)
    services: bytes = Field(sa_type=LargeBinary)
    """The proposal, encrypted with routing's own key because it reveals what happened to the child."""
    is_sent_at_deadline: bool
    started_at: datetime = Field(sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    step: str | None = Field(default=None, sa_type=Text)
    next_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    closed_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    half_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    twice_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class TransferRow(RoutingTable, table=True):
    """A letter to a party outside the agreement; settled ones stay as the record of who took over."""

    __tablename__ = "transfer"
    __table_args__ = (
        Index("transfer_of_case", "case_id"),
        Index("transfer_open", "due_at", "transfer_id", postgresql_where=text("state = 'sent'")),
    )
    transfer_id: UUID = Field(primary_key=True)
    case_id: UUID
    subject: str = Field(sa_type=Text)
    way: str = Field(sa_type=Text)
    party: bytes = Field(sa_type=LargeBinary)
    """Name and address, encrypted with routing's own key, because people write names."""
    sent_at: datetime = Field(sa_type=_MOMENT)
    due_at: datetime = Field(sa_type=_MOMENT)
    state: str = Field(sa_type=Text)
    settled_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    acknowledgement: bytes = Field(default=b"", sa_type=LargeBinary, sa_column_kwargs={"server_default": text("''")})
    """Who received it, encrypted; empty until then."""


class EarlierDisclosureRow(RoutingTable, table=True):
    """A case for which something is done once after an upgrade, until it is done."""

    __tablename__ = "earlier_disclosure"
    __table_args__ = (Index("earlier_disclosure_due", "due_at", "case_id"),)
    case_id: UUID = Field(primary_key=True)
    due_at: datetime = Field(sa_type=_MOMENT)


class AgencyNoteRow(RoutingTable, table=True):
    """What an agency noted for those who may hold a section of the dossier."""

    __tablename__ = "agency_note"
    __table_args__ = (
        Index("agency_note_of_referral", "referral_id", "written_at"),
        Index("agency_note_of_case", "case_id"),
    )
    note_id: UUID = Field(primary_key=True)
    """The id of the event that brought it."""
    case_id: UUID
    referral_id: UUID
    agency: str = Field(sa_type=Text)
    about: str = Field(sa_type=Text)
    """The section of the dossier that it adds to."""
    content: bytes = Field(sa_type=LargeBinary)
    """The note, encrypted with routing's own key."""
    written_at: datetime = Field(sa_type=_MOMENT)


class AgencyQuestionRow(RoutingTable, table=True):
    """What an agency that helps a child wants to know of the agency that referred it, and the answer."""

    __tablename__ = "agency_question"
    __table_args__ = (
        Index("agency_question_of_referral", "referral_id", "sent_at"),
        Index("agency_question_of_case", "case_id"),
        Index("agency_question_to", "addressee", "sent_at"),
    )
    question_id: UUID = Field(primary_key=True)
    case_id: UUID
    referral_id: UUID
    agency: str = Field(sa_type=Text)
    addressee: str = Field(sa_type=Text)
    """The agency that answers it."""
    content: bytes = Field(sa_type=LargeBinary)
    """The question, encrypted with routing's own key."""
    sent_at: datetime = Field(sa_type=_MOMENT)
    answer: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The answer, encrypted likewise."""
    answered_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    withdrawn_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When it became clear that the addressee may be too close to the suspect; nobody answers it any more."""


class AgencyCapacityRow(RoutingTable, table=True):
    """What an agency stated that it can take for one service."""

    __tablename__ = "agency_capacity"
    agency: str = Field(primary_key=True, sa_type=Text)
    service: str = Field(primary_key=True, sa_type=Text)
    max_open: int | None = None
    """Its limit of open cases; NULL without one."""
    full_until: date | None = Field(default=None, sa_type=Date)
    """The last day on which it takes no new case; NULL if it takes them."""
    stated_at: datetime = Field(sa_type=_MOMENT)


class ErasedCaseRow(RoutingTable, table=True):
    """A case that intake's vault has erased, and to which no note is added any more."""

    __tablename__ = "erased_case"
    case_id: UUID = Field(primary_key=True)
    erased_at: datetime = Field(sa_type=_MOMENT)


class AgencyManifestRow(RoutingTable, table=True):
    """The manifests of one agency."""

    __tablename__ = "agency_manifest"
    agency: str = Field(primary_key=True, sa_type=Text)
    last_manifest_number: int = Field(sa_type=BigInteger)
    """The highest number of an event sent to the agency."""
    missed_manifests: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """Manifests published since the agency last sent anything."""
    silent_since: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """When the first of them was published."""
    alarm_id: UUID | None = None
    """The alarm about the silence, once people were to be alerted."""


class AuditHeadRow(RoutingTable, table=True):
    """The signed heads that a service published last, which the next manifests pass on to agencies."""

    __tablename__ = "audit_head_of_service"
    service: str = Field(primary_key=True, sa_type=Text)
    heads: str = Field(sa_type=Text)
    """JSON list of bodies and signatures."""
    received_at: datetime = Field(sa_type=_MOMENT)


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
    """A reply that was refused for one reason, as a whole or for some services."""

    __tablename__ = "refused_reply"
    event_id: UUID = Field(primary_key=True)
    reason: str = Field(primary_key=True, sa_type=Text)
    referral_id: UUID
    service_ids: list[UUID] = Field(
        default_factory=list, sa_type=ARRAY(Uuid), sa_column_kwargs={"server_default": text("'{}'")}
    )
    """Empty if it was refused as a whole."""
    agency: str = Field(sa_type=Text)
    refused_at: datetime = Field(sa_type=_MOMENT, sa_column_kwargs={"server_default": text("now()")})


class SuspectedOverlapRow(RoutingTable, table=True):
    """Two cases that may be about the same child, until they are merged or a person dismisses the suspicion."""

    __tablename__ = "suspected_overlap"
    __table_args__ = (
        Index("suspected_overlap_of_case", "case_id"),
        Index("suspected_overlap_of_other", "other_case_id"),
        Index("suspected_overlap_open", "suspected_at", "overlap_id", postgresql_where=text("dismissed_at IS NULL")),
    )
    overlap_id: UUID = Field(primary_key=True)
    case_id: UUID
    other_case_id: UUID
    is_likely: bool
    suspected_at: datetime = Field(sa_type=_MOMENT)
    dismissed_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    dismissed_by: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
    note: bytes = Field(default=b"", sa_type=LargeBinary, sa_column_kwargs={"server_default": text("''")})
    """The reason, encrypted with routing's own key, because people write names."""

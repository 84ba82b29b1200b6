"""The tables every service has for its messages; the functions of `migrations/messaging.py` create them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

_MOMENT = DateTime(timezone=True)


def define_messaging_tables(*outbox_extension: Column[Any] | Index) -> MetaData:
    """Defines the tables; `outbox_extension` has the columns and indexes that one service adds to its outbox."""
    metadata = MetaData()
    _define_outbox(metadata, *outbox_extension)
    _define_held_events(metadata)
    _define_streams(metadata)
    _define_inbox(metadata)
    _define_parked(metadata)
    _define_audit(metadata)
    return metadata


def _define_outbox(metadata: MetaData, *extension: Column[Any] | Index) -> None:
    """One row for each destination of each event; rows of earlier versions have their signature inside the body."""
    Table(
        "outbox",
        metadata,
        Column("message_id", Uuid, primary_key=True),
        Column("exchange", Text, nullable=False),
        Column("routing_key", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("correlation_id", Uuid, nullable=False),
        Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
        Column("due_at", _MOMENT, nullable=False),
        Column("created_at", _MOMENT, nullable=False, server_default=text("now()")),
        Column("published_at", _MOMENT),
        Column("last_error", Text),
        Column("signature", Text),
        Column("traceparent", Text),
        Index("outbox_pending", "due_at", postgresql_where=text("published_at IS NULL")),
        *extension,
    )


def _define_held_events(metadata: MetaData) -> None:
    """Events that wait until the party `waits_for` has a usable key; the content is encrypted."""
    Table(
        "held_event",
        metadata,
        Column("position", BigInteger, Identity(always=True), primary_key=True),
        Column("waits_for", Text, nullable=False),
        Column("exchange", Text, nullable=False),
        Column("routing_key", Text, nullable=False),
        Column("agency", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("case_id", Uuid, nullable=False),
        Column("content", LargeBinary, nullable=False),
        Column("held_at", _MOMENT, nullable=False, server_default=text("now()")),
        Index("held_event_stream", "subject", "exchange"),
        Index("held_event_party", "waits_for", "position"),
    )


def _define_streams(metadata: MetaData) -> None:
    """The last sequence that this service assigned in the stream of each subject."""
    Table(
        "stream",
        metadata,
        Column("subject", Text, primary_key=True),
        Column("last", BigInteger, nullable=False),
    )


def _define_inbox(metadata: MetaData) -> None:
    """One row for each verified event; body and signature are kept only until the event is done."""
    Table(
        "inbox",
        metadata,
        Column("source", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
        Column("due_at", _MOMENT),
        Column("reason", Text),
        Column("body", LargeBinary),
        Column("received_at", _MOMENT, nullable=False, server_default=text("now()")),
        Column("signature", Text),
        PrimaryKeyConstraint("source", "event_id"),
        Index("inbox_stream", "subject", "source", "sequence"),
        Index("inbox_unfinished", "due_at", postgresql_where=text("state <> 'done'")),
    )


def _define_parked(metadata: MetaData) -> None:
    """Messages that could not be processed, each with its reason; nothing deletes them but a replay or an operator."""
    Table(
        "parked",
        metadata,
        Column("digest", LargeBinary, primary_key=True),
        Column("reason", Text, nullable=False),
        Column("detail", Text, nullable=False, server_default=text("''")),
        Column("exchange", Text, nullable=False, server_default=text("''")),
        Column("routing_key", Text, nullable=False, server_default=text("''")),
        Column("body", LargeBinary, nullable=False),
        Column("times", Integer, nullable=False, server_default=text("1")),
        Column("first_at", _MOMENT, nullable=False, server_default=text("now()")),
        Column("last_at", _MOMENT, nullable=False, server_default=text("now()")),
        Column("replay_at", _MOMENT),
        Column("signature", Text, nullable=False, server_default=text("''")),
        Index("parked_for_replay", "replay_at", postgresql_where=text("replay_at IS NOT NULL")),
    )


def _define_audit(metadata: MetaData) -> None:
    """The audit, whose rows are only added, and the head of its chain; see `simpul_runtime.audit`."""
    Table(
        "audit",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("block", BigInteger, nullable=False),
        Column("at", _MOMENT, nullable=False),
        Column("actor", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("salt", LargeBinary, nullable=False),
        Column("commitment", LargeBinary, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Index("audit_of_subject", "subject", "position"),
        Index("audit_of_actor", "actor", "position"),
        Index("audit_at", "at"),
    )
    Table(
        "audit_head",
        metadata,
        Column("is_only", Boolean, primary_key=True, server_default=text("true")),
        Column("position", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        CheckConstraint("is_only", name="audit_head_is_only"),
    )


MESSAGING = define_messaging_tables()

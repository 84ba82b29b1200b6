"""Tables every service has for its messages; created by `migrations/messaging.py`."""

from sqlalchemy import (
    BigInteger,
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

MESSAGING = MetaData()

_MOMENT = DateTime(timezone=True)

OUTBOX = Table(
    "outbox",
    MESSAGING,
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
    Column("number", BigInteger),
    Column("signature", Text),
    Index("outbox_pending", "due_at", postgresql_where=text("published_at IS NULL")),
    Index(
        "outbox_unnumbered", "created_at",
        postgresql_where=text("exchange = 'simpul.referrals' AND number IS NULL"),
    ),
    Index("outbox_heartbeats", "created_at", postgresql_where=text("number = 0")),
    Index(
        "outbox_numbered", text("split_part(routing_key, '.', 2)"), "number",
        postgresql_where=text("exchange = 'simpul.referrals' AND number > 0"),
    ),
    Index(
        "outbox_numbered_at", text("split_part(routing_key, '.', 2)"), "created_at",
        postgresql_where=text("exchange = 'simpul.referrals' AND number > 0"),
    ),
)  # fmt: skip
"""One row for each destination of each event; `number` among all that went to one agency, once it was accounted for.
The signature travels beside the body; a row of a version that put it inside has none."""

HELD_EVENT = Table(
    "held_event",
    MESSAGING,
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
"""Events that wait until the party `waits_for` has a usable key; the content is encrypted with the service's own."""

STREAM = Table(
    "stream",
    MESSAGING,
    Column("subject", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""The last sequence this service gave out for a subject."""

INBOX = Table(
    "inbox",
    MESSAGING,
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
"""Every verified event once; its body and signature only while there is still something to do."""

PARKED = Table(
    "parked",
    MESSAGING,
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
"""Messages that could not be handled, each with its reason and the signature that came beside it; never deleted by
themselves."""

"""The tables of the store, as the newest migration leaves them."""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    bindparam,
    literal_column,
    text,
)


class InboxState(str, Enum):
    """Where an inbox message stands."""

    RECEIVED = "received"
    WAITING_FOR_PREDECESSOR = "waiting_for_predecessor"
    """It is not the first of its stream, and is due after its predecessor or when that does not come in time."""
    RETRYING = "retrying"
    """Its handler failed and will be called again."""
    DONE = "done"
    PARKED = "parked"
    """Its content cannot be used; it keeps its position in its stream."""


PENDING: Final = (InboxState.RECEIVED, InboxState.WAITING_FOR_PREDECESSOR, InboxState.RETRYING)


def is_pending(inbox: FromClause) -> ColumnElement[bool]:
    """Whether an inbox message still needs its handler.

    The states are literals, so that both databases use the index `inbox_message_pending`.
    """
    return inbox.c.state.in_([literal_column(f"'{state.value}'") for state in PENDING])


METADATA: Final = MetaData()
_pending: Final = text(f"state IN ({', '.join(repr(state.value) for state in PENDING)})")
_unpublished: Final = text("published_at IS NULL")

INBOX: Final = Table(
    "inbox_message",
    METADATA,
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("signature", Text, nullable=False, server_default=text("''")),
    # The key begins with the id, because known events are found by the id alone.
    PrimaryKeyConstraint("event_id", "source"),
    Index("inbox_message_pending", "due_at", sqlite_where=_pending, postgresql_where=_pending),
    Index("inbox_message_type", "type", "received_at"),
    Index("inbox_message_stream", "subject", "sequence"),
)
"""Events of the city, each once, as they arrived; times are Unix seconds by this machine's clock.

Each has the signature that travelled with it; events stored by older versions have none.
"""

PARKED_MESSAGE: Final = Table(
    "parked_message",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("parked_at", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("signature", Text, nullable=False, server_default=text("''")),
    Index("parked_message_event", "event_id", "source"),
)
"""Messages that are not events of the contract, by the digest of body and signature.

Source and event id are set only when the city signed the message.
"""

OUTBOX: Final = Table(
    "outbox_message",
    METADATA,
    Column(
        "position",
        BigInteger().with_variant(Integer, "sqlite"),
        Identity(always=True),
        primary_key=True,
        autoincrement=True,
    ),
    Column("event_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("published_at", Double),
    Column("signature", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("event_id"),
    Index("outbox_message_unpublished", "position", sqlite_where=_unpublished, postgresql_where=_unpublished),
    Index("outbox_message_stream", "subject", "position"),
    sqlite_autoincrement=True,
)
"""Signed replies in the order of their creation; `published_at` is NULL until the broker confirms them."""

OUTBOX_STREAM: Final = Table(
    "outbox_stream",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
)
"""The last sequence used in each stream of replies."""

MANIFEST_ENTRY: Final = Table(
    "manifest_entry",
    METADATA,
    Column("source", Text, nullable=False),
    Column("manifest_number", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("is_withheld", Integer, nullable=False),
    PrimaryKeyConstraint("source", "manifest_number"),
)
"""Events that the city's delivery manifests list and that are not settled yet."""

MANIFEST: Final = Table(
    "delivery_manifest",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("settled_number", BigInteger, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("next_due_at", Double, nullable=False),
)
"""The newest delivery manifest of each source; every event up to `settled_number` was received or is withheld."""

WITNESSED_HEAD: Final = Table(
    "witnessed_head",
    METADATA,
    Column("service", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", Text, nullable=False),
    Column("received_at", Double, nullable=False),
    PrimaryKeyConstraint("service", "before", "hash"),
)
"""Signed heads of the city's audits; two with one moment and different hashes prove that a history was rewritten."""

ACKNOWLEDGED_CONTRADICTION: Final = Table(
    "acknowledged_contradiction",
    METADATA,
    Column("contradiction_id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("acknowledged_at", Double, nullable=False),
)
"""Contradictions that a person of the agency has seen; the heads stay."""


def insert_unless_known(table: Table, conflict: str = "DO NOTHING") -> TextClause:
    """Builds `INSERT ... ON CONFLICT` in the syntax that SQLite and PostgreSQL share."""
    names = [column.name for column in table.columns if column.identity is None and column.name != "published_at"]
    values = ", ".join(f":{name}" for name in names)
    return text(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values}) ON CONFLICT {conflict}")  # noqa: S608 - our own names


def among(column: ColumnElement[str], count: int) -> ColumnElement[bool]:
    """Whether a column has one of `count` values, which `as_values` provides."""
    return column.in_([bindparam(f"value_{number}", type_=Text) for number in range(count)])


def as_values(values: Iterable[str]) -> dict[str, str]:
    """Returns values for `among`, padded to a power of two, so that few statements are compiled and prepared."""
    known = list(dict.fromkeys(values))
    known += known[-1:] * ((1 << (len(known) - 1).bit_length()) - len(known))
    return {f"value_{number}": value for number, value in enumerate(known)}

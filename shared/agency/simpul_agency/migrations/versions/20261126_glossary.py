"""Tables, columns and states get the names of the glossary.

No row is moved: names change in the catalogue, and only events that wait for their handler are rewritten. Three indexes
are made again, seconds for a million rows. PostgreSQL locks the tables until the end.
"""

from alembic import op

revision = "20261126_glossary"
down_revision = "20261124_start"

_TABLES = {
    "received": "inbox_message",
    "unreadable": "parked_message",
    "reply": "outbox_message",
    "stream": "outbox_stream",
    "account": "manifest_entry",
    "city": "delivery_manifest",
}
_COLUMNS = (
    ("parked_message", "received_at", "parked_at"),
    ("outbox_message", "wire_name", "type"),
    ("outbox_stream", "last", "last_sequence"),
    ("manifest_entry", "number", "manifest_number"),
    ("delivery_manifest", "settled", "settled_number"),
    ("delivery_manifest", "heard_at", "received_at"),
    ("delivery_manifest", "said_at", "issued_at"),
    ("delivery_manifest", "quiet_until", "next_due_at"),
)
_OLD_INDEXES = ("received_due", "received_type", "received_stream", "unreadable_event", "reply_waiting")
_NEW_INDEXES = (
    """inbox_message_pending ON inbox_message (due_at)
        WHERE state IN ('received', 'waiting_for_predecessor', 'retrying')""",
    "inbox_message_type ON inbox_message (type, received_at)",
    "inbox_message_stream ON inbox_message (subject, sequence)",
    "parked_message_event ON parked_message (event_id, source)",
    "outbox_message_unpublished ON outbox_message (position) WHERE published_at IS NULL",
)


def upgrade() -> None:
    for old, new in _TABLES.items():
        op.execute(f"ALTER TABLE {old} RENAME TO {new}")
    for table, old, new in _COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    op.execute("""
        UPDATE inbox_message SET state = CASE WHEN attempts > 0 THEN 'retrying'
            WHEN sequence > 1 THEN 'waiting_for_predecessor' ELSE 'received' END
        WHERE state = 'new'""")
    for name in _OLD_INDEXES:
        op.execute(f"DROP INDEX {name}")
    for index in _NEW_INDEXES:
        op.execute(f"CREATE INDEX {index}")
    # The version before this one would make its tables anew and begin with nothing. It makes an index on `received`
    # first, and cannot on a view.
    op.execute("CREATE VIEW received AS SELECT 'this store has a newer version: upgrade simpul-agency' AS notice")

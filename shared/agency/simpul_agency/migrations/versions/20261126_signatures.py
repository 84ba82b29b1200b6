"""Signatures stand beside bodies, and parked messages have the reasons that services use too.

New columns with a constant default: no row is rewritten but those of parked messages. PostgreSQL locks the tables until
the end. Stored events were verified when they came, so they need no signature; replies that wait are signed when they
are published.
"""

from alembic import op

revision = "20261126_signatures"
down_revision = "20261126_glossary"

_REASONS = {
    "not_json": "malformed",
    "no_event": "malformed",
    "no_source": "malformed",
    "not_its_to_say": "unauthorized_publisher",
    "altered": "id_reused",
}


def upgrade() -> None:
    for table in ("inbox_message", "parked_message", "outbox_message"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN signature text NOT NULL DEFAULT ''")
    for old, new in _REASONS.items():
        op.execute(f"UPDATE parked_message SET reason = '{new}' WHERE reason = '{old}'")

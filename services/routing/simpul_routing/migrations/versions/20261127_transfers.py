"""Transfers to external parties. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261127_transfers"
down_revision = "20261126_audit"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE transfer (
            transfer_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            subject text NOT NULL,
            way text NOT NULL,
            party bytea NOT NULL,
            sent_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            state text NOT NULL,
            settled_at timestamptz,
            acknowledgement bytea NOT NULL DEFAULT ''
        )""")
    op.execute("CREATE INDEX transfer_of_case ON transfer (case_id)")
    op.execute("CREATE INDEX transfer_open ON transfer (due_at, transfer_id) WHERE state = 'sent'")

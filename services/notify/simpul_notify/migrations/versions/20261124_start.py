"""Alerts. New tables, so no lock on anything in use."""

from alembic import op
from simpul_runtime.migrations.messaging import create_20261124

revision = "20261124_start"
down_revision = None


def upgrade() -> None:
    create_20261124()
    op.execute("""
        CREATE TABLE alert (
            alert_id uuid PRIMARY KEY,
            referral_id uuid NOT NULL,
            case_id uuid NOT NULL,
            step smallint NOT NULL,
            contact text NOT NULL,
            channel text NOT NULL,
            urgency text NOT NULL,
            answer_by timestamptz NOT NULL,
            state text NOT NULL,
            attempts smallint NOT NULL,
            due_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            settled_at timestamptz,
            UNIQUE (referral_id, step, contact, channel)
        )""")
    op.execute("CREATE INDEX alert_pending ON alert (due_at) WHERE state = 'pending'")

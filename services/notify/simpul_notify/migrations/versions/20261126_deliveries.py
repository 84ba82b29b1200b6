"""What became of each message: handed to which provider, arrived on the phone, acknowledged by the person.

Two new tables and two new columns without a default take no long lock. Messages of before have no row; nothing is
known about them, as before.
"""

from alembic import op

revision = "20261126_deliveries"
down_revision = "20261126_audit"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE notification (
            notification_id uuid PRIMARY KEY,
            responder text NOT NULL,
            channel text NOT NULL,
            alerts uuid[] NOT NULL,
            report_digest bytea NOT NULL UNIQUE,
            link_digest bytea NOT NULL UNIQUE,
            created_at timestamptz NOT NULL,
            answer text,
            answered_by text,
            answered_at timestamptz
        )""")
    op.execute("CREATE INDEX notification_recipient ON notification (responder, created_at)")
    op.execute("""
        CREATE TABLE delivery (
            notification_id uuid NOT NULL REFERENCES notification ON DELETE CASCADE,
            provider text NOT NULL,
            state smallint NOT NULL,
            state_at timestamptz NOT NULL,
            accepted_at timestamptz,
            reference text,
            PRIMARY KEY (notification_id, provider)
        )""")
    op.execute("CREATE INDEX delivery_accepted ON delivery (accepted_at)")
    op.execute("ALTER TABLE alert ADD COLUMN acknowledged_at timestamptz, ADD COLUMN passed_on_at timestamptz")

"""Escalations: who is alerted next while nobody has acknowledged an alert.

A new table, so no lock on anything in use. Alerts of before this version keep their own attempts and have none.
"""

from alembic import op

revision = "20261126_escalations"
down_revision = "20261126_deliveries"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE escalation (
            escalation_id uuid PRIMARY KEY,
            cause uuid NOT NULL,
            party text NOT NULL,
            referral_id uuid NOT NULL,
            case_id uuid NOT NULL,
            services uuid[] NOT NULL,
            occasion smallint NOT NULL,
            step smallint NOT NULL,
            clock text NOT NULL,
            agency text NOT NULL,
            urgency text NOT NULL,
            deadline timestamptz NOT NULL,
            needed_until smallint NOT NULL,
            state text NOT NULL,
            opened_at timestamptz NOT NULL,
            waiting_since timestamptz NOT NULL,
            due_at timestamptz,
            alerted_at timestamptz,
            ended_at timestamptz,
            UNIQUE (cause, party)
        )""")
    op.execute("CREATE INDEX escalation_due ON escalation (due_at) WHERE state = 'open'")
    op.execute("CREATE INDEX escalation_case ON escalation (case_id) WHERE state = 'open'")
    op.execute("""
        CREATE INDEX escalation_unalerted ON escalation (opened_at) WHERE alerted_at IS NULL AND state <> 'ended'""")

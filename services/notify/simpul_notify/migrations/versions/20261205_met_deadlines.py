"""Deadlines that were met end their alerts, and what is not done is alerted about again whatever it is.

A new table and a new column, so a moment's exclusive lock. What an earlier version did not repeat may have been done
long ago, of which nothing is known: it is left alone, so that an upgrade alerts nobody about old cases.
"""

from alembic import op

revision = "20261205_met_deadlines"
down_revision = "20261205_numbers"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE met_deadline (
            service_id uuid NOT NULL,
            clock text NOT NULL,
            met_at timestamptz NOT NULL,
            PRIMARY KEY (service_id, clock)
        )""")
    op.execute("ALTER TABLE escalation ADD COLUMN event_at timestamptz")
    op.execute("""
        UPDATE escalation SET repeated_at = now() WHERE step = 200 AND repeated_at IS NULL
            AND clock IN ('receipt', 'contact', 'withdrawal', 'transfer')""")

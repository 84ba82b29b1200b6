"""What is unanswered at twice its deadline is alerted about again and again.

A new column, so a moment's exclusive lock, and a small index. What ended more than a week ago is left alone, so that an
upgrade alerts nobody about old cases.
"""

from alembic import op

revision = "20261127_repeated_alerts"
down_revision = "20261127_reach_checks"


def upgrade() -> None:
    op.execute("ALTER TABLE escalation ADD COLUMN repeated_at timestamptz")
    op.execute("UPDATE escalation SET repeated_at = now() WHERE step = 200 AND ended_at < now() - interval '7 days'")
    op.execute("""
        CREATE INDEX escalation_unanswered ON escalation (ended_at)
        WHERE step = 200 AND state <> 'open' AND repeated_at IS NULL""")

"""People are alerted about breaches. New columns, so a moment's exclusive lock.

What was settled before is not announced.
"""

from alembic import op

revision = "20261207_announced_breaches"
down_revision = "20261206_report_counts"


def upgrade() -> None:
    op.execute("ALTER TABLE breach ADD COLUMN announced_at timestamptz")
    op.execute("ALTER TABLE breach ADD COLUMN settled_at timestamptz")
    op.execute("""
        UPDATE breach b SET announced_at = now(), settled_at = now() WHERE b.authority_notified_at IS NOT NULL
            AND NOT EXISTS (SELECT FROM breached_case c WHERE c.breach_id = b.breach_id AND c.notified_at IS NULL)""")

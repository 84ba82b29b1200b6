"""Counts of reports by sender and hour. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261206_report_counts"
down_revision = "20261206_receipt_number"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE report_count (
            hour timestamptz NOT NULL, sender bytea NOT NULL, count integer NOT NULL, PRIMARY KEY (hour, sender))""")

"""Amendments of a report. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261124_amendments"
down_revision = "20261124_start"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE amendment (
            amendment_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            content_mac bytea NOT NULL,
            revision integer NOT NULL,
            stored_at timestamptz NOT NULL
        )""")

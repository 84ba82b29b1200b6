"""Cases that may be about the same child. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261126_overlaps"
down_revision = "20261126_case_events"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE suspected_overlap (
            overlap_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            other_case_id uuid NOT NULL,
            is_likely boolean NOT NULL,
            suspected_at timestamptz NOT NULL,
            dismissed_at timestamptz,
            dismissed_by text NOT NULL DEFAULT '',
            note bytea NOT NULL DEFAULT ''
        )""")
    op.execute("CREATE INDEX suspected_overlap_of_case ON suspected_overlap (case_id)")
    op.execute("CREATE INDEX suspected_overlap_of_other ON suspected_overlap (other_case_id)")
    op.execute("""
        CREATE INDEX suspected_overlap_open ON suspected_overlap (suspected_at, overlap_id)
        WHERE dismissed_at IS NULL""")

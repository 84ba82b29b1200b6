"""Cases that may be about the same child. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261126_overlaps"
down_revision = "20261126_inbox_states"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE case_overlap (
            overlap_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            other_case_id uuid NOT NULL,
            is_open boolean NOT NULL
        )""")
    op.execute("CREATE INDEX case_overlap_case ON case_overlap (case_id) WHERE is_open")
    op.execute("CREATE INDEX case_overlap_other ON case_overlap (other_case_id) WHERE is_open")

"""Amendments of one report are counted. An index; nothing is written to the table while it is built."""

from alembic import op

revision = "20261209_amendments_of_case"
down_revision = "20261208_reporter_files"


def upgrade() -> None:
    op.execute("CREATE INDEX amendment_of_case ON amendment (case_id, stored_at)")

"""Cases that the vault has erased. A new table, and an index on one that this release adds."""

from alembic import op

revision = "20261203_erased_cases"
down_revision = "20261202_agency_notes"


def upgrade() -> None:
    op.execute("CREATE TABLE erased_case (case_id uuid PRIMARY KEY, erased_at timestamptz NOT NULL)")
    op.execute("CREATE INDEX agency_note_of_case ON agency_note (case_id)")

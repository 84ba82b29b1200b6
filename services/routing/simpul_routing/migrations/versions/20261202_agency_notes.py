"""Notes of agencies to cases. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261202_agency_notes"
down_revision = "20261129_earlier_disclosures"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE agency_note (
            note_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            referral_id uuid NOT NULL,
            agency text NOT NULL,
            about text NOT NULL,
            content bytea NOT NULL,
            written_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX agency_note_of_referral ON agency_note (referral_id, written_at)")

"""Notes and documents that people of hosted agencies keep about a referral. A new table, so no lock on any in use."""

from alembic import op

revision = "20261128_records"
down_revision = "20261127_recoveries"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE referral_record (
            record_id uuid PRIMARY KEY,
            agency text NOT NULL,
            referral_id uuid NOT NULL,
            kind text NOT NULL,
            author uuid NOT NULL REFERENCES account,
            written_at timestamptz NOT NULL,
            content bytea NOT NULL,
            attachment bytea
        )
    """)
    op.execute("CREATE INDEX referral_record_of ON referral_record (agency, referral_id, written_at)")

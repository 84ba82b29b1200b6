"""Cases whose agencies accepted before routing decided about dossiers, so that each is decided about once.

A new table that is filled from `referral` and `referral_service`, which stay readable and writable meanwhile.
"""

from alembic import op

revision = "20261129_earlier_disclosures"
down_revision = "20261127_working_time"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE earlier_disclosure (
            case_id uuid PRIMARY KEY,
            due_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX earlier_disclosure_due ON earlier_disclosure (due_at, case_id)")
    op.execute("""
        INSERT INTO earlier_disclosure (case_id, due_at)
        SELECT DISTINCT r.case_id, now() FROM referral r JOIN referral_service s USING (referral_id)
        WHERE s.state IN ('accepted', 'scheduled', 'unattended', 'in_progress')""")

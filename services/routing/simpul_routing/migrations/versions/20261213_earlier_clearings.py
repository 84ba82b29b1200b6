"""Cases of which people had cleared an agency, or of which a question is open. Rows of a table that nobody waits for."""

from alembic import op

revision = "20261213_earlier_clearings"
down_revision = "20261211_withdrawn_questions"


def upgrade() -> None:
    # Which agencies were cleared is encrypted; whoever was, was reviewed.
    op.execute("""
        INSERT INTO earlier_disclosure (case_id, due_at)
        SELECT case_id, now() FROM exclusion_review
        UNION SELECT case_id, now() FROM agency_question WHERE answered_at IS NULL AND withdrawn_at IS NULL
        ON CONFLICT (case_id) DO NOTHING""")

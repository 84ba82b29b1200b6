"""Questions between agencies about a case. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261209_agency_questions"
down_revision = "20261208_traces"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE agency_question (
            question_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            referral_id uuid NOT NULL,
            agency text NOT NULL,
            addressee text NOT NULL,
            content bytea NOT NULL,
            sent_at timestamptz NOT NULL,
            answer bytea,
            answered_at timestamptz
        )""")
    op.execute("CREATE INDEX agency_question_of_referral ON agency_question (referral_id, sent_at)")
    op.execute("CREATE INDEX agency_question_of_case ON agency_question (case_id)")
    op.execute("CREATE INDEX agency_question_to ON agency_question (addressee, sent_at)")

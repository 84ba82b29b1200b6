"""Questions to reporting people. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261205_reporter_questions"
down_revision = "20261204_cleared_namings"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE reporter_question (
            question_id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES case_key (case_id) ON DELETE CASCADE,
            ciphertext bytea NOT NULL,
            sent_at timestamptz NOT NULL,
            answered_at timestamptz
        )""")
    op.execute("CREATE INDEX reporter_question_of_case ON reporter_question (case_id, sent_at)")

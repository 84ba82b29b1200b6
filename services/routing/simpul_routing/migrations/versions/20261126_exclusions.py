"""Who is asked about suggested exclusions, until when. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261126_exclusions"
down_revision = "20261126_held_events"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE exclusion_review (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            agency text NOT NULL,
            started_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            step text,
            next_at timestamptz,
            closed_at timestamptz
        )""")
    op.execute("CREATE UNIQUE INDEX exclusion_review_open ON exclusion_review (case_id) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX exclusion_review_list ON exclusion_review (due_at, referral_id) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX exclusion_review_due ON exclusion_review (next_at) WHERE next_at IS NOT NULL")

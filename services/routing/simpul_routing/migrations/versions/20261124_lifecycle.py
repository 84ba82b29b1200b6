"""Lifecycle: hand-overs, transitions, clocks, the rights ledger and the end of a case.

New columns with a constant default and new tables: nothing is rewritten, locks last a moment.
"""

from alembic import op

revision = "20261124_lifecycle"
down_revision = "20261124_agreement"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE referral ADD COLUMN urgency text NOT NULL DEFAULT 'high',
            ADD COLUMN hand_overs smallint NOT NULL DEFAULT 0,
            ADD COLUMN handed_over_from uuid,
            ADD COLUMN version integer NOT NULL DEFAULT 1,
            ADD COLUMN started_at timestamptz,
            ADD COLUMN ended_at timestamptz""")
    op.execute("""
        ALTER TABLE referral ADD COLUMN outcome text""")
    op.execute("""
        ALTER TABLE case_plan ADD COLUMN rights jsonb NOT NULL DEFAULT '{}',
            ADD COLUMN ended_as text,
            ADD COLUMN ended_at timestamptz,
            ADD COLUMN version integer NOT NULL DEFAULT 1""")
    op.execute("""
        CREATE TABLE transition (
            transition_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            referral_id uuid,
            agency text NOT NULL,
            actor text NOT NULL,
            before text NOT NULL,
            after text NOT NULL,
            reason text NOT NULL DEFAULT '',
            causation_id uuid,
            at timestamptz NOT NULL,
            position bigint GENERATED ALWAYS AS IDENTITY
        )""")
    op.execute("CREATE INDEX transition_of_case ON transition (case_id, position)")
    op.execute("CREATE INDEX referral_successor ON referral (handed_over_from) WHERE handed_over_from IS NOT NULL")
    op.execute("""
        CREATE TABLE clock (
            referral_id uuid NOT NULL,
            clock text NOT NULL,
            started_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            step text,
            next_at timestamptz,
            stopped_at timestamptz,
            PRIMARY KEY (referral_id, clock)
        )""")
    op.execute("CREATE INDEX referral_worklist ON referral (agency, answer_by, referral_id) WHERE ended_at IS NULL")
    op.execute("CREATE INDEX clock_due ON clock (next_at) WHERE next_at IS NOT NULL")

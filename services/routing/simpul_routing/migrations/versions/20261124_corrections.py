"""States of a case, corrections, what people wrote locked, and when a referral was seen.

New columns with a constant default: nothing is rewritten. The index keeps writers of `referral` out while it is made,
seconds for 100,000 rows. Words that stood in `reason` in clear are taken away rather than kept.
"""

from alembic import op

revision = "20261124_corrections"
down_revision = "20261124_lifecycle"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE case_plan ADD COLUMN state text NOT NULL DEFAULT 'triage',
            ADD COLUMN urgency_from_facts text NOT NULL DEFAULT 'high',
            ADD COLUMN merged_into uuid""")
    op.execute("UPDATE case_plan SET state = 'terminated' WHERE ended_as IS NOT NULL")
    op.execute("UPDATE case_plan SET urgency_from_facts = urgency WHERE urgency <> 'high'")
    op.execute("ALTER TABLE referral ADD COLUMN seen_at timestamptz")
    op.execute("ALTER TABLE transition ADD COLUMN note bytea NOT NULL DEFAULT ''")
    op.execute("UPDATE transition SET reason = 'by_hand' WHERE referral_id IS NULL AND reason <> ''")
    op.execute("""
        UPDATE case_plan SET rights = (
            SELECT coalesce(jsonb_object_agg(key, CASE WHEN value->>'reason' IN ('', 'agreement', 'outcome') THEN value
                ELSE jsonb_set(value, '{reason}', '"by_hand"') END), '{}') FROM jsonb_each(rights))""")
    op.execute("CREATE INDEX referral_offered ON referral (offered_at)")

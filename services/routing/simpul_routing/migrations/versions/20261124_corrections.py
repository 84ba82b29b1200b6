"""States of a case, corrections, what people wrote locked, and when a referral was seen.

Every row of `case_plan` and of the case's own history is rewritten once, and the indexes keep writers out while they
are made: seconds for 100,000 cases. Words that stood in `reason` in clear are taken away rather than kept.
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
    for column in ("before", "after"):
        op.execute(f"""
            UPDATE transition SET {column} = CASE {column} WHEN 'open' THEN 'reopened' ELSE 'terminated' END
            WHERE referral_id IS NULL AND {column} IN ('open', 'closed', 'completed', 'transferred')""")
    op.execute("UPDATE case_plan SET urgency_from_facts = urgency WHERE urgency <> 'high'")
    op.execute("""
        ALTER TABLE referral ADD COLUMN seen_at timestamptz,
            ADD COLUMN raised_service text,
            ADD COLUMN raised_role text,
            ADD COLUMN by_hand boolean NOT NULL DEFAULT false""")
    op.execute("""
        UPDATE referral t SET raised_service = p.service, raised_role = p.role FROM referral p
        WHERE t.handed_over_from = p.referral_id AND t.service = 'manual_triage' AND p.service <> 'manual_triage'""")
    op.execute("ALTER TABLE transition ADD COLUMN note bytea NOT NULL DEFAULT ''")
    op.execute("UPDATE transition SET reason = 'by_hand' WHERE referral_id IS NULL AND reason <> ''")
    op.execute("""
        UPDATE case_plan SET rights = (
            SELECT coalesce(jsonb_object_agg(key, CASE WHEN value->>'reason' IN ('', 'agreement', 'outcome') THEN value
                ELSE jsonb_set(value, '{reason}', '"by_hand"') END), '{}') FROM jsonb_each(rights))""")
    op.execute("CREATE INDEX case_plan_twins ON case_plan (merged_into) WHERE merged_into IS NOT NULL")
    op.execute("CREATE INDEX referral_offered ON referral (offered_at)")

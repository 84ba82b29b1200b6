"""Which version and clauses of the agreement made a case's plan and its referrals, and on which facts.

New columns with a constant default: the tables are locked for a moment and nothing is rewritten.
"""

from alembic import op

revision = "20261124_agreement"
down_revision = "20261124_start"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE case_plan ADD COLUMN agreement text NOT NULL DEFAULT '',
            ADD COLUMN agreement_digest text NOT NULL DEFAULT '',
            ADD COLUMN situation bytea NOT NULL DEFAULT ''""")
    op.execute("""
        ALTER TABLE referral ADD COLUMN agreement text NOT NULL DEFAULT '',
            ADD COLUMN clauses bytea NOT NULL DEFAULT ''""")

"""The contract's words of November 2026: the service `case_management`, reroutes, duplicate cases.

Renaming a column locks `referral` for a moment. The updates rewrite the rows that hold an old code: about one referral
of each case, a few transitions and refused replies; seconds for 100,000 cases. Stop the older routing first, because
it does not know the new names.
"""

from alembic import op

revision = "20261126_case_management"
down_revision = "20261126_exclusions"


def upgrade() -> None:
    op.execute("ALTER TABLE referral RENAME COLUMN hand_overs TO reroute_count")
    op.execute("ALTER TABLE referral RENAME COLUMN handed_over_from TO rerouted_from")
    op.execute("ALTER INDEX referral_successor RENAME TO referral_rerouted_from")
    op.execute("UPDATE referral SET service = 'case_management' WHERE service = 'intake'")
    op.execute("UPDATE referral SET raised_service = 'case_management' WHERE raised_service = 'intake'")
    op.execute("UPDATE transition SET reason = 'duplicate_merged' WHERE reason = 'twin_merged'")
    op.execute("UPDATE refused_reply SET reason = 'rerouted' WHERE reason = 'handed_over'")

"""Alerts call the alerted person a responder, and what they are about a deadline.

Renaming columns takes an exclusive lock for a moment and rewrites nothing.
"""

from alembic import op

revision = "20261126_responders"
down_revision = "20261126_occasions"


def upgrade() -> None:
    op.execute("ALTER TABLE alert RENAME COLUMN contact TO responder")
    op.execute("ALTER TABLE alert RENAME COLUMN answer_by TO deadline")
    op.execute("""
        ALTER TABLE alert RENAME CONSTRAINT alert_referral_id_step_contact_channel_clock_key
            TO alert_referral_id_step_responder_channel_clock_key""")

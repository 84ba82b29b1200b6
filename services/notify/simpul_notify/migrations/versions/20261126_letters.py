"""Alerts are about services of a referral, and one message carries all that waits for a recipient.

`alert` is rewritten once, under an exclusive lock: stop notify first. What was one referral before is one service of
the same id, so older alerts keep their meaning.
"""

from alembic import op

revision = "20261126_letters"
down_revision = "20261126_inbox_states"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE alert
            ADD COLUMN cause uuid,
            ADD COLUMN services uuid[],
            ADD COLUMN leased_until timestamptz,
            ADD COLUMN notification_id uuid""")
    op.execute("""
        UPDATE alert SET services = ARRAY[referral_id],
            cause = CAST(md5(referral_id::text || '/' || step || '/' || clock) AS uuid)""")
    op.execute("ALTER TABLE alert ALTER COLUMN cause SET NOT NULL, ALTER COLUMN services SET NOT NULL")
    op.execute("ALTER TABLE alert DROP CONSTRAINT alert_referral_id_step_responder_channel_clock_key")
    op.execute("ALTER TABLE alert ADD UNIQUE (cause, responder, channel)")
    op.execute("DROP INDEX alert_pending_case")
    op.execute("CREATE INDEX alert_case ON alert (case_id)")
    op.execute("CREATE INDEX alert_pending_recipient ON alert (responder, channel) WHERE state = 'pending'")
    op.execute("""
        CREATE TABLE referral_service (
            service_id uuid PRIMARY KEY,
            urgency text,
            answer_by timestamptz,
            progress smallint NOT NULL
        )""")
    op.execute("INSERT INTO referral_service (service_id, progress) SELECT referral_id, progress FROM referral_progress")
    op.execute("DROP TABLE referral_progress")

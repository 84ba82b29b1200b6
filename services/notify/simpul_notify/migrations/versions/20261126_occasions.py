"""Alerts name their deadline, the late agency and the party alerted; progress of referrals ends alerts.

New columns with constant defaults and two new tables take no long lock. The new unique index is built while writes to
`alert` wait; rows of before are all about the answer to an offer and keep their meaning.
"""

from alembic import op

revision = "20261126_occasions"
down_revision = "20261126_held_events"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE alert
            ADD COLUMN clock text NOT NULL DEFAULT 'answer',
            ADD COLUMN agency text NOT NULL DEFAULT '',
            ADD COLUMN party text NOT NULL DEFAULT '',
            ADD COLUMN needed_until smallint NOT NULL DEFAULT 1,
            ADD COLUMN reason text""")
    op.execute("ALTER TABLE alert DROP CONSTRAINT alert_referral_id_step_contact_channel_key")
    op.execute("ALTER TABLE alert ADD UNIQUE (referral_id, step, contact, channel, clock)")
    op.execute("CREATE INDEX alert_pending_case ON alert (case_id) WHERE state = 'pending'")
    op.execute("""
        CREATE TABLE referral_progress (
            referral_id uuid PRIMARY KEY,
            progress smallint NOT NULL
        )""")
    op.execute("""
        CREATE TABLE excluded_party (
            case_id uuid NOT NULL,
            party text NOT NULL,
            PRIMARY KEY (case_id, party)
        )""")
    # Answers that came before this version are in the inbox; what they settled was still waiting or given up.
    op.execute("""
        INSERT INTO referral_progress (referral_id, progress)
        SELECT a.referral_id, max(CASE i.type WHEN 'referral.accepted.v1' THEN 1 WHEN 'referral.started.v1' THEN 2
            ELSE 3 END)
        FROM alert a JOIN inbox i ON i.subject = 'referral/' || a.referral_id
        WHERE a.state IN ('pending', 'failed') AND i.state = 'done' AND i.type IN (
            'referral.accepted.v1', 'referral.started.v1', 'referral.declined.v1', 'referral.rerouted.v1',
            'referral.completed.v1', 'referral.cancelled.v1', 'referral.revoked.v1')
        GROUP BY a.referral_id""")
    # An alert used to be given up after twelve attempts, whether its referral was answered or not.
    op.execute("""
        UPDATE alert a SET state = 'pending', due_at = now(), settled_at = NULL
        WHERE a.state = 'failed' AND a.attempts > 1
            AND NOT EXISTS (SELECT FROM referral_progress p WHERE p.referral_id = a.referral_id)""")

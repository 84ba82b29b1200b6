"""When a person last acted on a referral.

All migrations run in one transaction, so the column locks the table (ACCESS EXCLUSIVE) until it is filled. The audit is
therefore read before that, into a temporary table.
"""

from alembic import op

revision = "20261210_acting"
down_revision = "20261208_examination"


def upgrade() -> None:
    op.execute("""
        CREATE TEMPORARY TABLE last_action ON COMMIT DROP AS
        SELECT r.referral_id, r.account_id, max(a.at) AS acted_at
        FROM referral_reader r
        JOIN audit a ON a.subject = 'referral/' || r.referral_id AND a.actor = CAST(r.account_id AS text)
        WHERE a.action LIKE 'reply.%' OR a.action IN
            ('note.written', 'note.shared', 'document.added', 'information.missing', 'information.complete')
        GROUP BY r.referral_id, r.account_id
    """)
    op.execute("ALTER TABLE referral_reader ADD COLUMN acted_at timestamptz")
    op.execute("""
        UPDATE referral_reader r SET acted_at = l.acted_at
        FROM last_action l WHERE l.referral_id = r.referral_id AND l.account_id = r.account_id
    """)

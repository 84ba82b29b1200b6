"""When a person last acted on a referral. Adding a nullable column locks the table for a moment only."""

from alembic import op

revision = "20261210_acting"
down_revision = "20261208_examination"


def upgrade() -> None:
    op.execute("ALTER TABLE referral_reader ADD COLUMN acted_at timestamptz")
    op.execute("""
        UPDATE referral_reader r SET acted_at = a.at
        FROM (SELECT subject, actor, max(at) AS at FROM audit WHERE action LIKE 'reply.%' GROUP BY subject, actor) a
        WHERE a.subject = 'referral/' || r.referral_id AND a.actor = CAST(r.account_id AS text)
    """)

"""Numbers what agencies are sent, so that they notice what they miss.

A new column without a default rewrites no row. The indexes are built under a lock that lets reads continue.
"""

from alembic import op

revision = "20261124_accounts"
down_revision = "20261124_corrections"


def upgrade() -> None:
    op.execute("ALTER TABLE outbox ADD COLUMN number bigint")
    op.execute("""
        CREATE INDEX outbox_unnumbered ON outbox (created_at)
        WHERE exchange = 'simpul.referrals' AND number IS NULL""")
    op.execute("CREATE INDEX outbox_heartbeats ON outbox (created_at) WHERE number = 0")
    op.execute("""
        CREATE INDEX outbox_numbered ON outbox (split_part(routing_key, '.', 2), number)
        WHERE exchange = 'simpul.referrals' AND number > 0""")
    op.execute("""
        CREATE INDEX outbox_numbered_at ON outbox (split_part(routing_key, '.', 2), created_at)
        WHERE exchange = 'simpul.referrals' AND number > 0""")
    op.execute("""
        CREATE TABLE agency_account (
            agency text PRIMARY KEY,
            last_number bigint NOT NULL,
            unheard integer NOT NULL DEFAULT 0
        )""")

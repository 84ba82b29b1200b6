"""Replies are found by their referral, because each service of it has its own.

No row changes. The index is made in a second for a million rows; PostgreSQL locks the replies until the end. Events of
the contract before services stay as they were signed, and are read as referrals with one service.
"""

from alembic import op

revision = "20261126_services"
down_revision = "20261126_signatures"


def upgrade() -> None:
    op.execute("CREATE INDEX outbox_message_stream ON outbox_message (subject, position)")

"""Deletes the delivery manifests of the older wire name, `referral.heartbeat.v1`, from the outbox.

Deletes at most the manifests of one hour. Agencies of this version do not know that type, and the next manifest
replaces them.
"""

from alembic import op

revision = "20261126_wire_names"
down_revision = "20261126_signatures"


def upgrade() -> None:
    op.execute("""
        DELETE FROM outbox
        WHERE exchange = 'simpul.referrals' AND number = 0 AND routing_key LIKE 'referral.%.heartbeat.v1'""")

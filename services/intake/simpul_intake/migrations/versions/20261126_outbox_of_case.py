"""An index by which an erasure finds the outbox messages of its case.

The index is built while reads go on and writes to `outbox` wait: a second or two for a million rows.
"""

from alembic import op

revision = "20261126_outbox_of_case"
down_revision = "20261126_duplicates"


def upgrade() -> None:
    op.execute("CREATE INDEX outbox_of_case ON outbox (correlation_id)")

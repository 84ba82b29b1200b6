"""Messages and weekly tests know the number or address they went to again, by a short digest.

New columns with a constant default, so a moment's exclusive lock. Rows from before know the place in the roster only,
and so do those that the version before still writes.
"""

from alembic import op

revision = "20261205_numbers"
down_revision = "20261127_repeated_alerts"


def upgrade() -> None:
    op.execute("ALTER TABLE notification ADD COLUMN address_digest text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE reach_check ADD COLUMN address_digest text NOT NULL DEFAULT ''")

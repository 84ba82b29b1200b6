"""Renames a state of the inbox, and drops the column by which only routing numbers messages.

The update touches waiting messages only; the column is dropped without rewriting a row. Stop the older version first,
because it does not know the new state.
"""

from alembic import op

from simpul_runtime.migrations.messaging import rename_inbox_states

revision = "20261126_inbox_states"
down_revision = "20261126_signatures"


def upgrade() -> None:
    rename_inbox_states()
    op.execute("ALTER TABLE outbox DROP COLUMN IF EXISTS number")

"""Renames a state of the inbox.

The update touches waiting messages only. Stop the older version first, because it does not know the new state.
"""

from simpul_runtime.migrations.messaging import rename_inbox_states

revision = "20261126_inbox_states"
down_revision = "20261126_wire_names"


def upgrade() -> None:
    rename_inbox_states()

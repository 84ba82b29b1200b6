"""Marks requests of the older wire name, `reply.window.requested.v1`, that wait in the inbox as done.

No version handles them any more; the agency's kit requests the range again under the new name. They are kept as done,
so that no later message of the same stream waits for them. The update touches waiting messages only.
"""

from alembic import op

revision = "20261126_window_requests"
down_revision = "20261126_overlaps"


def upgrade() -> None:
    op.execute("""
        UPDATE inbox SET state = 'done', body = NULL, signature = NULL, reason = NULL, due_at = NULL
        WHERE type = 'reply.window.requested.v1' AND state <> 'done'""")

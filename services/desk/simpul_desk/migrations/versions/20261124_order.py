"""What ended leaves the board, which asks for what waits and for what was accepted last.

A new column and two small indexes; writes wait while they are made.
"""

from alembic import op

revision = "20261124_order"
down_revision = "20261124_start"


def upgrade() -> None:
    op.execute("ALTER TABLE board ADD COLUMN ended_as text")
    op.execute("CREATE INDEX board_waiting ON board (answer_by) WHERE accepted_at IS NULL AND ended_as IS NULL")
    op.execute("CREATE INDEX board_accepted ON board (accepted_at) WHERE accepted_at IS NOT NULL AND ended_as IS NULL")
    op.execute("DROP INDEX IF EXISTS ix_board_answer_by")

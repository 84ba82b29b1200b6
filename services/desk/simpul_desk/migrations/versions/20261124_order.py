"""The board asks for what waits and for what was accepted last. Two small indexes; writes wait while they are made."""

from alembic import op

revision = "20261124_order"
down_revision = "20261124_start"


def upgrade() -> None:
    op.execute("CREATE INDEX board_waiting ON board (answer_by) WHERE accepted_at IS NULL")
    op.execute("CREATE INDEX board_accepted ON board (accepted_at) WHERE accepted_at IS NOT NULL")
    op.execute("DROP INDEX IF EXISTS ix_board_answer_by")

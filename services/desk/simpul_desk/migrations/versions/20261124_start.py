"""The board. New tables, so no lock on anything in use."""

from alembic import op
from simpul_runtime.migrations.messaging import create_20261124

revision = "20261124_start"
down_revision = None


def upgrade() -> None:
    create_20261124()
    op.execute("""
        CREATE TABLE board (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            agency text,
            service text,
            urgency text,
            answer_by timestamptz,
            accepted_at timestamptz,
            alerts_sent smallint NOT NULL DEFAULT 0,
            alerts_failed smallint NOT NULL DEFAULT 0
        )""")
    op.execute("CREATE INDEX ix_board_answer_by ON board (answer_by)")

"""The board knows what is late, since when, and which step was reached.

New columns take no long lock except the computed one, for which the table is written again; `board` holds one row for
each referral. The index is small.
"""

from alembic import op

revision = "20261126_late"
down_revision = "20261126_held_events"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE board
            ADD COLUMN unanswered_since timestamptz,
            ADD COLUMN unserved_since timestamptz,
            ADD COLUMN late_since timestamptz GENERATED ALWAYS AS (least(unanswered_since, unserved_since)) STORED,
            ADD COLUMN unanswered_step smallint NOT NULL DEFAULT 0,
            ADD COLUMN unserved_step smallint NOT NULL DEFAULT 0""")
    op.execute("CREATE INDEX board_late ON board (late_since) WHERE late_since IS NOT NULL AND ended_as IS NULL")

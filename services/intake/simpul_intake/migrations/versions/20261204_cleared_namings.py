"""How often an agency was named when it was cleared. Adds a column with a constant default, and updates few rows."""

from alembic import op

revision = "20261204_cleared_namings"
down_revision = "20261203_unannounced_erasures"


def upgrade() -> None:
    op.execute("ALTER TABLE disclosure ADD COLUMN cleared_namings integer NOT NULL DEFAULT 0")
    op.execute("UPDATE disclosure SET cleared_namings = 1 WHERE is_cleared")

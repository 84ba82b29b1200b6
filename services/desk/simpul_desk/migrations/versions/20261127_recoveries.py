"""A confirmed recovery waits for whoever started it. A new column without a value takes no long lock."""

from alembic import op

revision = "20261127_recoveries"
down_revision = "20261127_hosting"


def upgrade() -> None:
    op.execute("ALTER TABLE recovery ADD COLUMN confirmed_by uuid REFERENCES account")

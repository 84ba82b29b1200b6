"""How often the receipt of a report was replaced. Adds a column with a constant default."""

from alembic import op

revision = "20261206_receipt_number"
down_revision = "20261205_reporter_questions"


def upgrade() -> None:
    op.execute("ALTER TABLE report ADD COLUMN receipt_number integer NOT NULL DEFAULT 0")

"""Questions whose addressee may be too close to the suspect are withdrawn. A column; a moment's lock."""

from alembic import op

revision = "20261211_withdrawn_questions"
down_revision = "20261210_capacities"


def upgrade() -> None:
    op.execute("ALTER TABLE agency_question ADD COLUMN withdrawn_at timestamptz")

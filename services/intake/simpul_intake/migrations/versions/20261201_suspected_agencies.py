"""Whether an agency is suspected to be too close to the suspect. Adds columns with a constant default, without a rewrite."""

from alembic import op

revision = "20261201_suspected_agencies"
down_revision = "20261130_unsearched"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE disclosure ADD COLUMN is_suspected boolean NOT NULL DEFAULT false,
            ADD COLUMN is_cleared boolean NOT NULL DEFAULT false""")

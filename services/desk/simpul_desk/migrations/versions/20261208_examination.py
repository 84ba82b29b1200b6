"""What the doctor found last. A new table, so no lock on any in use."""

from alembic import op

revision = "20261208_examination"
down_revision = "20261208_traces"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE examination (
            is_only boolean NOT NULL DEFAULT true PRIMARY KEY CONSTRAINT examination_is_only CHECK (is_only),
            checked_at timestamptz NOT NULL,
            findings jsonb NOT NULL,
            skipped text[] NOT NULL
        )
    """)

"""When half and twice the time of a deadline in office hours or working days has passed.

Adds empty columns, so it locks the tables for a moment only. Clocks that run already divide calendar time as before.
"""

from alembic import op

revision = "20261127_working_time"
down_revision = "20261127_transfers"


def upgrade() -> None:
    for table in ("clock", "service_plan"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN half_at timestamptz, ADD COLUMN twice_at timestamptz")

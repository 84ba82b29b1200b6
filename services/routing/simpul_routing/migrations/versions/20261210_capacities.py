"""What agencies can take. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261210_capacities"
down_revision = "20261209_agency_questions"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE agency_capacity (
            agency text NOT NULL,
            service text NOT NULL,
            max_open integer,
            full_until date,
            stated_at timestamptz NOT NULL,
            PRIMARY KEY (agency, service)
        )""")

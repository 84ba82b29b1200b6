"""Agencies that people cleared of what reports say. A new table, so no lock on anything in use."""

from alembic import op

revision = "20261212_cleared_agencies"
down_revision = "20261211_accused_centres"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE cleared_agency (
            case_id uuid NOT NULL,
            agency text NOT NULL,
            namings integer NOT NULL,
            PRIMARY KEY (case_id, agency)
        )""")

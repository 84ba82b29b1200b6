"""Absences and shifts that leads enter at the desk, merged over the roster of the city's folder.

A new table; the version before does not read it, so that it alerts by the folder alone until it is replaced.
"""

from alembic import op

revision = "20261206_roster_changes"
down_revision = "20261205_met_deadlines"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE roster_change (
            change_id uuid NOT NULL PRIMARY KEY,
            party text NOT NULL,
            kind text NOT NULL,
            responder text NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            added_by uuid NOT NULL,
            added_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX roster_change_end ON roster_change (ends_at)")

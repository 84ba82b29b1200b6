"""Weekly messages by which people prove that they can be reached.

A new table, so no lock on anything in use.
"""

from alembic import op

revision = "20261127_reach_checks"
down_revision = "20261127_answers_of_parties"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE reach_check (
            responder text NOT NULL,
            method text NOT NULL,
            due_at timestamptz NOT NULL,
            state text NOT NULL,
            problem text NOT NULL DEFAULT '',
            notification_id uuid,
            not_before timestamptz,
            PRIMARY KEY (responder, method, due_at)
        )""")
    op.execute("CREATE INDEX reach_check_due ON reach_check (due_at)")

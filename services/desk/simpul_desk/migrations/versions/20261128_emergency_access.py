"""Access to one case for an hour, and who has read of it. New tables, so no lock on anything in use."""

from alembic import op

revision = "20261128_emergency_access"
down_revision = "20261128_ways_in"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE emergency_access (
            access_id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES account,
            agency text NOT NULL,
            case_id uuid NOT NULL,
            reason bytea NOT NULL,
            requested_at timestamptz NOT NULL,
            confirmed_by uuid REFERENCES account,
            ends_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX emergency_access_account ON emergency_access (account_id)")
    op.execute("CREATE INDEX emergency_access_requested ON emergency_access (requested_at)")
    op.execute("""
        CREATE TABLE emergency_notice (
            access_id uuid NOT NULL REFERENCES emergency_access,
            account_id uuid NOT NULL REFERENCES account,
            read_at timestamptz NOT NULL,
            PRIMARY KEY (access_id, account_id)
        )""")

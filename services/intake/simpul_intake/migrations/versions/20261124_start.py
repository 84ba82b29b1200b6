"""Reports and the vault. New tables, so no lock on anything in use."""

from alembic import op
from simpul_runtime.migrations.messaging import create_20261124

revision = "20261124_start"
down_revision = None


def upgrade() -> None:
    create_20261124()
    op.execute("""
        CREATE TABLE report (
            report_id uuid PRIMARY KEY,
            case_id uuid NOT NULL UNIQUE,
            content_mac bytea NOT NULL,
            received_at timestamptz NOT NULL,
            stored_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE TABLE case_key (case_id uuid PRIMARY KEY, wrapped bytea NOT NULL)")
    op.execute("""
        CREATE TABLE section (
            case_id uuid NOT NULL REFERENCES case_key (case_id),
            name text NOT NULL,
            revision integer NOT NULL,
            ciphertext bytea NOT NULL,
            PRIMARY KEY (case_id, name, revision)
        )""")

"""Files of reporting people. A new table, so no lock on what is there but a moment's on case_key for the reference."""

from alembic import op

revision = "20261208_reporter_files"
down_revision = "20261208_traces"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE reporter_file (
            file_id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES case_key (case_id) ON DELETE CASCADE,
            digest bytea NOT NULL,
            description bytea NOT NULL,
            ciphertext bytea NOT NULL,
            stored_at timestamptz NOT NULL
        )""")
    # It is compressed nowhere: what is encrypted does not become smaller.
    op.execute("ALTER TABLE reporter_file ALTER COLUMN ciphertext SET STORAGE EXTERNAL")
    op.execute("CREATE UNIQUE INDEX reporter_file_of_case ON reporter_file (case_id, digest)")

"""Notes of agencies in dossiers. A new table; its reference locks case_key for a moment."""

from alembic import op

revision = "20261210_dossier_notes"
down_revision = "20261209_amendments_of_case"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE dossier_note (
            note_id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES case_key (case_id) ON DELETE CASCADE,
            section text NOT NULL,
            ciphertext bytea NOT NULL,
            written_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX dossier_note_of_case ON dossier_note (case_id, written_at)")

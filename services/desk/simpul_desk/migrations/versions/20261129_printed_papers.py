"""The register of printed papers. A new table, so no lock on any in use."""

from alembic import op

revision = "20261129_printed_papers"
down_revision = "20261128_emergency_access"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE printed_paper (
            code text PRIMARY KEY,
            kind text NOT NULL,
            number text NOT NULL,
            agency text NOT NULL,
            services text[] NOT NULL,
            printed_at timestamptz NOT NULL,
            printed_by uuid NOT NULL REFERENCES account
        )
    """)

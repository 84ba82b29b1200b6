"""What accused centres may know: exclusions by people, when cases were merged, and each end of a case.

Two new tables, and a column without a default, which locks case_end for a moment.
"""

from alembic import op

revision = "20261211_accused_centres"
down_revision = "20261210_dossier_notes"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE excluded_agency (
            case_id uuid NOT NULL,
            agency text NOT NULL,
            excluded_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, agency)
        )""")
    op.execute("""
        CREATE TABLE recorded_end (
            case_id uuid NOT NULL,
            sequence bigint NOT NULL,
            is_ended boolean NOT NULL,
            recorded_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, sequence)
        )""")
    op.execute("""
        INSERT INTO recorded_end (case_id, sequence, is_ended, recorded_at)
        SELECT case_id, sequence, TRUE, ended_at FROM case_end WHERE ended_at IS NOT NULL""")
    op.execute("ALTER TABLE case_end ADD COLUMN merged_at timestamptz")

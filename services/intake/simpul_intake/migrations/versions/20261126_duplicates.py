"""Blind indexes, suspected overlaps and the searches of complaint centres. New tables, so no lock on anything in use.

Intake indexes the existing cases in the background. Erasing a case deletes its index and its overlaps.
"""

from alembic import op

revision = "20261126_duplicates"
down_revision = "20261126_erasure"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE duplicate_index (
            case_id uuid PRIMARY KEY REFERENCES case_key (case_id) ON DELETE CASCADE,
            version text NOT NULL,
            lookup integer[] NOT NULL,
            comparison bytea NOT NULL,
            searched_at timestamptz
        )""")
    op.execute("CREATE INDEX duplicate_index_lookup ON duplicate_index USING gin (lookup)")
    op.execute("CREATE INDEX duplicate_index_unsearched ON duplicate_index (case_id) WHERE searched_at IS NULL")
    op.execute("""
        CREATE TABLE suspected_overlap (
            case_id uuid REFERENCES case_key (case_id) ON DELETE CASCADE,
            other_case_id uuid REFERENCES case_key (case_id) ON DELETE CASCADE,
            overlap_id uuid NOT NULL,
            is_likely boolean NOT NULL,
            suspected_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, other_case_id)
        )""")
    op.execute("CREATE INDEX suspected_overlap_other ON suspected_overlap (other_case_id)")
    op.execute("""
        CREATE TABLE duplicate_search (
            search_id uuid PRIMARY KEY,
            centre text NOT NULL,
            report_id uuid NOT NULL,
            searched_at timestamptz NOT NULL,
            outcome text NOT NULL,
            agency text NOT NULL,
            reason text NOT NULL DEFAULT '',
            reported_at timestamptz
        )""")
    op.execute("CREATE INDEX duplicate_search_of_centre ON duplicate_search (centre, searched_at)")

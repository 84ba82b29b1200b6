"""A table of the cases that are still to be compared with the others, in place of a column of the index.

A new table, so no lock on anything in use. The version before still writes `searched_at`, which stays with its index
until no such version runs any more; intake takes over the cases that wait by that column.
"""

from alembic import op

revision = "20261130_unsearched"
down_revision = "20261129_section_bases"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE duplicate_unsearched (
            case_id uuid PRIMARY KEY REFERENCES duplicate_index (case_id) ON DELETE CASCADE,
            digest bytea NOT NULL
        )""")

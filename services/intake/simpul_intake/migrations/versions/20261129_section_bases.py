"""The basis of each section that an agency may hold, because protection needs no consent.

Rewrites the rows of disclosures, which are few, while it locks their table.
"""

from alembic import op

revision = "20261129_section_bases"
down_revision = "20261128_dossiers"


def upgrade() -> None:
    op.execute("ALTER TABLE disclosure ADD COLUMN bases text[] NOT NULL DEFAULT '{}'")
    op.execute("""
        UPDATE disclosure SET sections = CASE WHEN basis IS NULL THEN '{}' ELSE sections END,
            bases = CASE WHEN basis IS NULL THEN '{}' ELSE array_fill(basis, ARRAY[cardinality(sections)]) END
        WHERE cardinality(sections) > 0""")

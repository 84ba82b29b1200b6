"""The contradictions of the city's audits that a person has seen are kept.

A new table; nothing else changes and nothing is locked.
"""

from alembic import op

revision = "20261206_acknowledgements"
down_revision = "20261205_witnessed_heads"


def upgrade() -> None:
    op.execute("""CREATE TABLE acknowledged_contradiction (
        contradiction_id text NOT NULL PRIMARY KEY, service text NOT NULL, before text NOT NULL,
        acknowledged_at double precision NOT NULL)""")

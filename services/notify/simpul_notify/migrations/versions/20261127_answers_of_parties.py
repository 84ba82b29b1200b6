"""An alert knows whose escalations an answer to it is about, and since when its responder may be contacted.

New columns, so a moment's exclusive lock; filling `for_parties` locks the rows of alerts of the last week only, because
older messages cannot be answered. Escalations that were exhausted are so still.
"""

from alembic import op

revision = "20261127_answers_of_parties"
down_revision = "20261126_escalations"


def upgrade() -> None:
    op.execute("ALTER TABLE alert ADD COLUMN for_parties text[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE alert ADD COLUMN postponed_until timestamptz")
    op.execute("ALTER TABLE escalation ADD COLUMN exhausted_at timestamptz")
    op.execute("""
        UPDATE alert a SET for_parties = CASE
            WHEN EXISTS (SELECT FROM escalation e WHERE e.cause = a.cause AND e.party = a.party) THEN ARRAY[a.party]
            ELSE ARRAY(SELECT e.party FROM escalation e WHERE e.cause = a.cause ORDER BY 1) END
        WHERE a.created_at > now() - interval '8 days'""")
    op.execute("UPDATE escalation SET exhausted_at = ended_at WHERE state = 'exhausted'")

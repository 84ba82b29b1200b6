"""Agency and role of the person who acted, and which cases may exclude an agency.

New columns with constant defaults, and an index on the few cases with exclusions: short locks. Of the cases that are
stored already, each may exclude an agency until it is saved again.
"""

from alembic import op

revision = "20261126_actors"
down_revision = "20261126_window_requests"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE case_event ADD COLUMN actor_agency text NOT NULL DEFAULT '',
            ADD COLUMN actor_role text NOT NULL DEFAULT ''""")
    op.execute("ALTER TABLE case_plan ADD COLUMN has_exclusions boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE case_plan ALTER COLUMN has_exclusions SET DEFAULT false")
    op.execute("CREATE INDEX case_plan_with_exclusions ON case_plan (case_id) WHERE has_exclusions")

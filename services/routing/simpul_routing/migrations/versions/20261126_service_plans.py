"""Service plans that await the case manager. A new table, so no lock on anything in use.

Everything that the cases of before need was offered already, so none of them has a plan.
"""

from alembic import op

revision = "20261126_service_plans"
down_revision = "20261126_actors"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE service_plan (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            agency text NOT NULL,
            services bytea NOT NULL,
            is_sent_at_deadline boolean NOT NULL,
            started_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            step text,
            next_at timestamptz,
            closed_at timestamptz
        )""")
    op.execute("CREATE UNIQUE INDEX service_plan_open ON service_plan (case_id) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX service_plan_list ON service_plan (due_at, referral_id) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX service_plan_due ON service_plan (next_at) WHERE next_at IS NOT NULL")

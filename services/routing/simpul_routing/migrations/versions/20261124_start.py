"""Plans, referrals, refused replies. New tables, so no lock on anything in use."""

from alembic import op
from simpul_runtime.migrations.messaging import create_20261124

revision = "20261124_start"
down_revision = None


def upgrade() -> None:
    create_20261124()
    op.execute("""
        CREATE TABLE case_plan (
            case_id uuid PRIMARY KEY,
            urgency text NOT NULL,
            mediation_locked boolean NOT NULL,
            decided_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE referral (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL REFERENCES case_plan (case_id),
            agency text NOT NULL,
            service text NOT NULL,
            role text NOT NULL,
            state text NOT NULL,
            answer_by timestamptz NOT NULL,
            offered_at timestamptz NOT NULL,
            delivered_at timestamptz,
            accepted_at timestamptz
        )""")
    op.execute("CREATE INDEX ix_referral_case_id ON referral (case_id)")
    op.execute("""
        CREATE TABLE refused_reply (
            event_id uuid PRIMARY KEY,
            referral_id uuid NOT NULL,
            agency text NOT NULL,
            reason text NOT NULL,
            refused_at timestamptz NOT NULL DEFAULT now()
        )""")

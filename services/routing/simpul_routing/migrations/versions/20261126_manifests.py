"""Delivery manifests, resend requests and escalated services.

Renames lock each table for a moment; nothing is rewritten. Stop the older routing first, because it does not know the
new names.
"""

from alembic import op

revision = "20261126_manifests"
down_revision = "20261126_case_management"


def upgrade() -> None:
    op.execute("ALTER TABLE agency_account RENAME TO agency_manifest")
    op.execute("ALTER TABLE agency_manifest RENAME CONSTRAINT agency_account_pkey TO agency_manifest_pkey")
    op.execute("ALTER TABLE agency_manifest RENAME COLUMN last_number TO last_manifest_number")
    op.execute("ALTER TABLE agency_manifest RENAME COLUMN unheard TO missed_manifests")
    op.execute("ALTER TABLE referral RENAME COLUMN raised_service TO escalated_service")
    op.execute("ALTER TABLE referral RENAME COLUMN raised_role TO escalated_role")
    op.execute("ALTER INDEX case_plan_twins RENAME TO case_plan_merged_into")
    op.execute("""
        CREATE TABLE resend_request (
            event_id uuid PRIMARY KEY,
            agency text NOT NULL,
            first_number bigint,
            last_number bigint,
            since timestamptz,
            until timestamptz,
            due_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX resend_request_due ON resend_request (due_at, event_id)")

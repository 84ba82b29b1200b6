"""Breaches and the cases whose data were reachable. It locks nothing that is in use."""

from alembic import op

revision = "20261126_breach"
down_revision = "20261126_audit"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE breach (
            breach_id uuid PRIMARY KEY,
            found_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            opened_by text NOT NULL,
            since timestamptz NOT NULL,
            until timestamptz NOT NULL,
            accounts text[] NOT NULL,
            agencies text[] NOT NULL,
            whole_vault boolean NOT NULL,
            authority_notified_at timestamptz
        )""")
    op.execute("""
        CREATE TABLE breached_case (
            breach_id uuid NOT NULL REFERENCES breach,
            case_id uuid NOT NULL,
            sections text[] NOT NULL,
            notified_at timestamptz,
            notified_by text NOT NULL DEFAULT '',
            PRIMARY KEY (breach_id, case_id)
        )""")

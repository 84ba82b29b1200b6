"""The signed heads of the services' audits, for the manifests of agencies. A new table; nothing is locked."""

from alembic import op

revision = "20261205_audit_heads"
down_revision = "20261203_erased_cases"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE audit_head_of_service (
            service text PRIMARY KEY, heads text NOT NULL, received_at timestamptz NOT NULL)""")

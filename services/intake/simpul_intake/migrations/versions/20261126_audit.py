"""The audit of intake."""

from simpul_runtime.migrations.messaging import add_audit

revision = "20261126_audit"
down_revision = "20261126_duplicate_lookup"


def upgrade() -> None:
    add_audit()

"""The audit of desk."""

from simpul_runtime.migrations.messaging import add_audit

revision = "20261126_audit"
down_revision = "20261126_letters"


def upgrade() -> None:
    add_audit()

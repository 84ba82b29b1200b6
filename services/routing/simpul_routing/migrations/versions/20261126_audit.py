"""The audit of routing."""

from simpul_runtime.migrations.messaging import add_audit

revision = "20261126_audit"
down_revision = "20261127_referral_services"


def upgrade() -> None:
    add_audit()

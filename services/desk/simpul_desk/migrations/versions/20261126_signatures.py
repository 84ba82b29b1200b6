"""Signatures are stored beside bodies, and parked messages have the reasons of the contract."""

from simpul_runtime.migrations.messaging import keep_signatures_beside_bodies

revision = "20261126_signatures"
down_revision = "20261126_case_management"


def upgrade() -> None:
    keep_signatures_beside_bodies()

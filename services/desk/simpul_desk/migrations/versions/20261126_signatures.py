"""Signatures are stored beside bodies, and parked messages have the reasons of the contract."""

from simpul_runtime.migrations.messaging import add_signatures

revision = "20261126_signatures"
down_revision = "20261126_case_management"


def upgrade() -> None:
    add_signatures()

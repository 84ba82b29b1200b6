"""Events wait until their recipient has a usable key. See `hold_what_cannot_be_sealed`."""

from simpul_runtime.migrations.messaging import hold_what_cannot_be_sealed

revision = "20261126_held_events"
down_revision = "20261124_accounts"


def upgrade() -> None:
    hold_what_cannot_be_sealed()

"""Events wait until their recipient has a usable key. See `add_held_events`."""

from simpul_runtime.migrations.messaging import add_held_events

revision = "20261126_held_events"
down_revision = "20261124_accounts"


def upgrade() -> None:
    add_held_events()

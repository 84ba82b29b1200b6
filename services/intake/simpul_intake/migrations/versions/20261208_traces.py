"""The traces of outbox messages of intake."""

from simpul_runtime.migrations.messaging import add_traces

revision = "20261208_traces"
down_revision = "20261207_announced_breaches"


def upgrade() -> None:
    add_traces()

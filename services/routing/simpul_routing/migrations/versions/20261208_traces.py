"""The traces of outbox messages of routing."""

from simpul_runtime.migrations.messaging import add_traces

revision = "20261208_traces"
down_revision = "20261206_silent_agencies"


def upgrade() -> None:
    add_traces()

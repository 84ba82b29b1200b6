"""The traces of outbox messages of desk."""

from simpul_runtime.migrations.messaging import add_traces

revision = "20261208_traces"
down_revision = "20261129_printed_papers"


def upgrade() -> None:
    add_traces()

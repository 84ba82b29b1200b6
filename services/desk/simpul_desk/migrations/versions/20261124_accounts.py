"""The outbox has a place for the numbers of what agencies are sent. See `number_what_agencies_were_sent`."""

from simpul_runtime.migrations.messaging import number_what_agencies_were_sent

revision = "20261124_accounts"
down_revision = "20261124_order"


def upgrade() -> None:
    number_what_agencies_were_sent()

"""What agencies were sent is numbered, so that they can know what they miss. See `number_what_agencies_were_sent`."""

from alembic import op

from simpul_runtime.migrations.messaging import number_what_agencies_were_sent

revision = "20261124_accounts"
down_revision = "20261124_corrections"


def upgrade() -> None:
    number_what_agencies_were_sent()
    op.execute("""
        CREATE TABLE agency_account (
            agency text PRIMARY KEY,
            last_number bigint NOT NULL,
            unheard integer NOT NULL DEFAULT 0
        )""")

"""The first tables.

Stores made before there were versions have them already: what is there is left as it is.
"""

from alembic import op

revision = "20261124_start"
down_revision = None


def upgrade() -> None:
    is_sqlite = op.get_context().dialect.name == "sqlite"
    blob = "BLOB" if is_sqlite else "bytea"
    serial = "INTEGER PRIMARY KEY AUTOINCREMENT" if is_sqlite else "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    for statement in (
        f"""CREATE TABLE IF NOT EXISTS received (
            source text NOT NULL, event_id text NOT NULL, subject text NOT NULL, sequence bigint NOT NULL,
            type text NOT NULL, digest text NOT NULL, body {blob} NOT NULL, state text NOT NULL,
            reason text NOT NULL, attempts integer NOT NULL, received_at double precision NOT NULL,
            due_at double precision NOT NULL, PRIMARY KEY (event_id, source))""",
        "CREATE INDEX IF NOT EXISTS received_due ON received (due_at) WHERE state = 'new'",
        "CREATE INDEX IF NOT EXISTS received_type ON received (type, received_at)",
        "CREATE INDEX IF NOT EXISTS received_stream ON received (subject, sequence)",
        f"""CREATE TABLE IF NOT EXISTS unreadable (
            digest text PRIMARY KEY, body {blob} NOT NULL, reason text NOT NULL,
            received_at double precision NOT NULL, source text NOT NULL, event_id text NOT NULL)""",
        "CREATE INDEX IF NOT EXISTS unreadable_event ON unreadable (event_id, source)",
        f"""CREATE TABLE IF NOT EXISTS reply (
            position {serial}, event_id text NOT NULL UNIQUE, subject text NOT NULL, wire_name text NOT NULL,
            correlation_id text NOT NULL, body {blob} NOT NULL, published_at double precision)""",
        "CREATE INDEX IF NOT EXISTS reply_waiting ON reply (position) WHERE published_at IS NULL",
        "CREATE TABLE IF NOT EXISTS stream (subject text PRIMARY KEY, last bigint NOT NULL)",
        """CREATE TABLE IF NOT EXISTS account (
            source text NOT NULL, number bigint NOT NULL, event_id text NOT NULL, is_withheld integer NOT NULL,
            PRIMARY KEY (source, number))""",
        """CREATE TABLE IF NOT EXISTS city (
            source text PRIMARY KEY, sequence bigint NOT NULL, last_number bigint NOT NULL, settled bigint NOT NULL,
            heard_at double precision NOT NULL, said_at double precision NOT NULL,
            quiet_until double precision NOT NULL)""",
    ):
        op.execute(statement)

"""Each wrapped key has the id of its master key; receipts and digests have keys of their own.

A column with a constant default: nothing is rewritten. The index is built while reads go on and writes to `case_key` wait.
Rows without an id are those of the first version; intake re-wraps them and records the id.
"""

from alembic import op

revision = "20261126_vault_keys"
down_revision = "20261126_signatures"


def upgrade() -> None:
    op.execute("ALTER TABLE case_key ADD COLUMN key_id text NOT NULL DEFAULT ''")
    op.execute("CREATE INDEX case_key_of_master_key ON case_key (key_id)")
    op.execute("CREATE TABLE vault_secret (name text PRIMARY KEY, key_id text NOT NULL, wrapped bytea NOT NULL)")

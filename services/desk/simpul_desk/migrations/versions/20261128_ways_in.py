"""Passkeys, recovery codes and city accounts. New tables and a new column without a value: no long lock."""

from alembic import op

revision = "20261128_ways_in"
down_revision = "20261128_records"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE passkey (
            credential_id bytea PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES account,
            public_key bytea NOT NULL,
            sign_count bigint NOT NULL,
            name text NOT NULL,
            created_at timestamptz NOT NULL,
            last_used_at timestamptz
        )""")
    op.execute("CREATE INDEX passkey_account ON passkey (account_id)")
    op.execute("""
        CREATE TABLE passkey_challenge (
            challenge bytea PRIMARY KEY,
            account_id uuid REFERENCES account,
            expires_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX passkey_challenge_expired ON passkey_challenge (expires_at)")
    op.execute("""
        CREATE TABLE recovery_code (
            code_hash bytea PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES account
        )""")
    op.execute("CREATE INDEX recovery_code_account ON recovery_code (account_id)")
    op.execute("ALTER TABLE account ADD COLUMN external_subject text")
    op.execute("CREATE UNIQUE INDEX account_external_subject ON account (external_subject)")

"""Accounts, roles, sessions, links, recoveries, limits and exclusions. New tables, so no lock on anything in use."""

from alembic import op

revision = "20261127_accounts"
down_revision = "20261126_audit"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE account (
            account_id uuid PRIMARY KEY,
            login_name text NOT NULL UNIQUE,
            name text NOT NULL,
            language text NOT NULL,
            password_hash text,
            totp_secret bytea,
            totp_step bigint NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL,
            disabled_at timestamptz
        )""")
    op.execute("""
        CREATE TABLE account_role (
            account_id uuid NOT NULL REFERENCES account,
            agency text NOT NULL,
            role text NOT NULL,
            granted_at timestamptz NOT NULL,
            PRIMARY KEY (account_id, agency, role)
        )""")
    op.execute("CREATE INDEX account_role_agency ON account_role (agency)")
    op.execute("""
        CREATE TABLE session (
            session_id uuid PRIMARY KEY,
            secret_hash bytea NOT NULL UNIQUE,
            account_id uuid NOT NULL REFERENCES account,
            is_complete boolean NOT NULL,
            client text NOT NULL,
            created_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            code_failures smallint NOT NULL DEFAULT 0
        )""")
    op.execute("CREATE INDEX session_account ON session (account_id)")
    op.execute("""
        CREATE TABLE one_time_link (
            secret_hash bytea PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES account,
            purpose text NOT NULL,
            expires_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX one_time_link_account ON one_time_link (account_id)")
    op.execute("""
        CREATE TABLE recovery (
            recovery_id uuid PRIMARY KEY,
            account_id uuid NOT NULL UNIQUE REFERENCES account,
            agency text NOT NULL,
            started_by uuid NOT NULL REFERENCES account,
            expires_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE known_device (
            secret_hash bytea PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES account,
            last_used_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX known_device_account ON known_device (account_id)")
    op.execute("""
        CREATE TABLE login_limit (
            subject bytea PRIMARY KEY,
            failures integer NOT NULL,
            last_failed_at timestamptz NOT NULL,
            blocked_until timestamptz
        )""")
    op.execute("CREATE INDEX login_limit_failed ON login_limit (last_failed_at)")
    op.execute("""
        CREATE TABLE case_exclusion (
            account_id uuid NOT NULL REFERENCES account,
            case_id uuid NOT NULL,
            declared_by uuid NOT NULL REFERENCES account,
            declared_at timestamptz NOT NULL,
            PRIMARY KEY (account_id, case_id)
        )""")

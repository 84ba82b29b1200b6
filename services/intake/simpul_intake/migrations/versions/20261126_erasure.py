"""Erased cases, legal holds and who confirmed an erasure. New tables, so no lock on anything in use."""

from alembic import op

revision = "20261126_erasure"
down_revision = "20261126_inbox_states"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE legal_hold (
            case_id uuid NOT NULL,
            reason text NOT NULL,
            reference text NOT NULL,
            placed_by text NOT NULL,
            placed_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, reason, reference)
        )""")
    op.execute("""
        CREATE TABLE erased_case (
            case_id uuid PRIMARY KEY,
            reason text NOT NULL,
            erased_by text NOT NULL,
            erased_at timestamptz NOT NULL,
            key_id text NOT NULL,
            sections jsonb NOT NULL
        )""")
    op.execute("""
        CREATE TABLE erasure_holder (
            case_id uuid NOT NULL REFERENCES erased_case (case_id),
            holder text NOT NULL,
            confirmed_at timestamptz,
            confirmed_by text NOT NULL DEFAULT '',
            PRIMARY KEY (case_id, holder)
        )""")
    op.execute("""
        CREATE TABLE vault_action (
            action_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            case_id uuid NOT NULL,
            action text NOT NULL,
            detail text NOT NULL,
            actor text NOT NULL,
            at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX vault_action_of_case ON vault_action (case_id, at)")
    op.execute("CREATE TABLE retired_master_key (key_id text PRIMARY KEY, retired_by text NOT NULL, retired_at timestamptz NOT NULL)")
    op.execute("""
        CREATE TABLE case_end (
            case_id uuid PRIMARY KEY,
            sequence bigint NOT NULL,
            ended_at timestamptz,
            merged_into uuid
        )""")
    op.execute("CREATE INDEX case_end_ended_at ON case_end (ended_at) WHERE ended_at IS NOT NULL")
    op.execute("CREATE INDEX case_end_merged_into ON case_end (merged_into) WHERE merged_into IS NOT NULL")

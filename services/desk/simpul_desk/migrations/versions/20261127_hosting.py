"""What hosted agencies work on, and who has read it. New tables, so no lock on anything in use."""

from alembic import op

revision = "20261127_hosting"
down_revision = "20261127_accounts"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE worklist_entry (
            agency text NOT NULL,
            referral_id uuid NOT NULL,
            case_id uuid NOT NULL,
            kind text NOT NULL,
            urgency text NOT NULL,
            due_at timestamptz,
            received_at timestamptz NOT NULL,
            services jsonb NOT NULL,
            must_acknowledge boolean NOT NULL,
            is_open boolean NOT NULL,
            version text NOT NULL,
            lacks_information boolean NOT NULL DEFAULT FALSE,
            PRIMARY KEY (agency, referral_id)
        )
    """)
    op.execute("CREATE INDEX worklist_entry_open ON worklist_entry (agency, due_at, referral_id) WHERE is_open")
    op.execute("""
        CREATE TABLE referral_reader (
            referral_id uuid NOT NULL,
            account_id uuid NOT NULL REFERENCES account,
            first_read_at timestamptz NOT NULL,
            PRIMARY KEY (referral_id, account_id)
        )
    """)

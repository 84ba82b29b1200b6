"""What agencies may hold of dossiers, and what they hold. It locks nothing that is in use."""

from alembic import op

revision = "20261128_dossiers"
down_revision = "20261126_breach"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE disclosure (
            referral_id uuid PRIMARY KEY,
            case_id uuid NOT NULL,
            agency text NOT NULL,
            sequence bigint NOT NULL,
            sections text[] NOT NULL,
            basis text,
            due_at timestamptz
        )""")
    op.execute("CREATE INDEX disclosure_of_case ON disclosure (case_id)")
    op.execute("CREATE INDEX disclosure_due ON disclosure (due_at) WHERE due_at IS NOT NULL")
    op.execute("""
        CREATE TABLE held_section (
            referral_id uuid NOT NULL REFERENCES disclosure,
            section text NOT NULL,
            revision integer NOT NULL,
            digest bytea NOT NULL,
            basis text NOT NULL,
            released_at timestamptz NOT NULL,
            withdrawal_id uuid,
            confirm_by timestamptz,
            deleted_at timestamptz,
            PRIMARY KEY (referral_id, section)
        )""")
    op.execute("""
        CREATE INDEX held_section_undeleted ON held_section (confirm_by)
        WHERE withdrawal_id IS NOT NULL AND deleted_at IS NULL""")

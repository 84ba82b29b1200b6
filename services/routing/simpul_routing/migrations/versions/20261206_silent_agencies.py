"""An agency is silent since a moment, and people are alerted about it once. New columns, so a moment's exclusive lock."""

from alembic import op

revision = "20261206_silent_agencies"
down_revision = "20261205_audit_heads"


def upgrade() -> None:
    op.execute("ALTER TABLE agency_manifest ADD COLUMN silent_since timestamptz")
    op.execute("ALTER TABLE agency_manifest ADD COLUMN alarm_id uuid")

"""New entries of the lookup index are merged at once. Changes a setting of the index and flushes its pending entries."""

from alembic import op

revision = "20261126_duplicate_lookup"
down_revision = "20261126_outbox_of_case"


def upgrade() -> None:
    """Turns the list of pending entries off, which every search would read as a whole."""
    op.execute("ALTER INDEX duplicate_index_lookup SET (fastupdate = off)")
    op.execute("SELECT gin_clean_pending_list('duplicate_index_lookup')")

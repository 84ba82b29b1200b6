"""The Alembic environment, which `simpul_agency.migrations.upgrade` runs."""

from alembic import context

from simpul_agency.store.tables import METADATA
from simpul_agency.store.version import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()

"""Runs the Alembic migrations of a service, one runner at a time."""

from importlib.resources import as_file, files
from typing import Final

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from simpul_runtime.database import create_engine

_ADVISORY_LOCK: Final = 7_135_711
"""Key of the advisory lock; arbitrary, but the same for every runner of a database."""


async def migrate_async(database_url: str, package: str, revision: str = "head") -> None:
    """Migrates the database of a service's package to its newest or another revision."""
    engine = create_engine(database_url, connections=2)
    with as_file(files(package) / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))

        def upgrade(connection: Connection) -> None:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
    await engine.dispose()


def run_environment(*metadata: MetaData) -> None:
    """Runs the migrations; each service's `migrations/env.py` calls it."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=list(metadata))
    with context.begin_transaction():
        context.run_migrations()

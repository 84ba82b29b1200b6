"""Running a service's Alembic migrations, one runner at a time."""

import asyncio
from importlib.resources import as_file, files

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from simpul_runtime.database import engine_for

# Any number does, as long as it is the same for every runner of one database.
_ADVISORY_LOCK = 7_135_711


def migrate(database_url: str, package: str) -> None:
    """Bring the database of a service's package to its newest revision."""
    asyncio.run(migrate_async(database_url, package))


async def migrate_async(database_url: str, package: str, revision: str = "head") -> None:
    """The same from a running event loop, to the newest revision or to another."""
    engine = engine_for(database_url, connections=2)
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
    """What each service's `migrations/env.py` calls."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=list(metadata))
    with context.begin_transaction():
        context.run_migrations()

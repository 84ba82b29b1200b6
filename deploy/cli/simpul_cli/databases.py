"""Creates the services' databases on one server and brings them to their newest revision."""

import asyncpg

from simpul_runtime.migrations import migrate_async


async def create_databases(server_url: str, names: dict[str, str]) -> None:
    """Creates the databases (service -> name) that do not exist yet."""
    connection = await asyncpg.connect(server_url)
    try:
        existing = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for name in names.values():
            if name not in existing:
                await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()


async def migrate_services(urls: dict[str, str]) -> None:
    """Migrates each service's database (service -> address)."""
    for service, url in urls.items():
        await migrate_async(url, f"simpul_{service}")

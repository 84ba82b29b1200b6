"""Databases with the newest tables; the migrations of a service run once, and every test gets a copy of the result."""

from uuid import uuid4

import asyncpg

from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_runtime.migrations import migrate_async

_templates: dict[tuple[str, str], str] = {}
"""Server and service -> the database that is copied."""


async def create_migrated(backends: Backends, service: str, name: str) -> str:
    """Creates a database with the tables of a service and returns its address.

    A commit in it does not wait for the disk, because no database outlives its test.
    """
    template = await _template(backends, service)
    server = await asyncpg.connect(backends.postgres_url)
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        await server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    finally:
        await server.close()
    return backends.database_url(name)


async def _template(backends: Backends, service: str) -> str:
    found = _templates.get((backends.postgres_url, service))
    if found is None:
        found = f"template_{service}_{uuid4().hex[:8]}"
        await create_databases(backends.postgres_url, {service: found})
        await migrate_async(backends.database_url(found), f"simpul_{service}")
        _templates[backends.postgres_url, service] = found
    return found

"""Asks the databases of the services."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from simpul_cli.doctor.checks.databases import Database, DatabaseFacts, Standby
from simpul_runtime.database import utc_now
from simpul_runtime.revisions import newest_revision

TIMEOUT: Final = 10.0
"""Seconds."""
_PROBLEMS: Final = {"28": "login", "3D": "missing"}
"""SQLSTATE class -> problem; anything else is a server that does not answer."""
_DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")
_DEAD_ROWS: Final = "SELECT relname, n_dead_tup, n_live_tup FROM pg_stat_user_tables"
_LONGEST: Final = """
    SELECT coalesce(max(now() - xact_start), interval '0') FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_STANDBYS: Final = "SELECT application_name, replay_lag FROM pg_stat_replication WHERE replay_lag IS NOT NULL"
_AGE: Final = "SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()"


async def collect(databases: Mapping[str, str]) -> tuple[DatabaseFacts, dict[str, timedelta]]:
    """Collects the state of each database, and how far its clock differs from the one here."""
    found, skews = {}, {}
    for service, url in databases.items():
        try:
            connection: Any = await asyncpg.connect(url, timeout=TIMEOUT)
        except asyncpg.PostgresError as error:
            problem = _PROBLEMS.get(str(error.sqlstate or "")[:2], "unreachable")
            found[service] = Database(problem=problem)
        except (OSError, TimeoutError):
            found[service] = Database(problem="unreachable")
        else:
            try:
                found[service] = await _examine(connection, service)
                skews["postgres"] = await _measure_skew(connection)
            finally:
                await connection.close()
    return DatabaseFacts(found), skews


async def _examine(connection: Any, service: str) -> Database:
    has_revision = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
    revision = await connection.fetchval("SELECT version_num FROM alembic_version") if has_revision else None
    newest, known = newest_revision(f"simpul_{service}")
    return Database(
        revision=revision or "",
        newest_revision=newest,
        is_revision_known=revision is None or revision in known,
        connections=await connection.fetchval("SELECT count(*) FROM pg_stat_activity"),
        max_connections=int(await connection.fetchval("SHOW max_connections")),
        dead_rows={row[0]: (row[1], row[2]) for row in await connection.fetch(_DEAD_ROWS)},
        longest_transaction=await connection.fetchval(_LONGEST),
        oldest_transaction_age=await connection.fetchval(_AGE),
        not_durable=[name for name in _DURABLE if await connection.fetchval(f"SHOW {name}") == "off"],
        standbys=[Standby(row[0], row[1]) for row in await connection.fetch(_STANDBYS)],
    )


async def _measure_skew(connection: Any) -> timedelta:
    before = utc_now()
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = utc_now()
    return theirs - (before + (after - before) / 2)

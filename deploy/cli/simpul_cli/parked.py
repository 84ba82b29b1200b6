"""Lists and replays the messages that a service set aside."""

import asyncpg


async def count_parked(database_url: str) -> int:
    """Counts the parked messages that are not being replayed."""
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM parked WHERE replay_at IS NULL"))
    finally:
        await connection.close()


async def list_parked(database_url: str) -> list[dict[str, object]]:
    """Lists the reason, detail and routing key of each parked message, never its content."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT encode(digest, 'hex') AS digest, reason, detail, exchange, routing_key, times, last_at"
            " FROM parked ORDER BY last_at"
        )
        return [dict(row) for row in rows]
    finally:
        await connection.close()


async def replay_parked(database_url: str, digest: str) -> int:
    """Marks parked messages for replay, by the start of a digest or `all`; returns how many.

    The service processes them within a second; completed effects are not repeated.
    """
    connection = await asyncpg.connect(database_url)
    try:
        status = await connection.execute(
            "UPDATE parked SET replay_at = now() WHERE $1 = 'all' OR encode(digest, 'hex') LIKE $1 || '%'", digest
        )
        return int(status.split()[-1])
    finally:
        await connection.close()

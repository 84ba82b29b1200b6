"""What the city's machines do: agencies that are silent, and messages that were set aside."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SILENT = text("""
    SELECT agency, missed_manifests FROM agency_manifest WHERE alarm_id IS NOT NULL ORDER BY silent_since, agency
""")
_PARKED = text("""
    SELECT reason, routing_key, count(*) AS messages, min(first_at) AS first_at, max(last_at) AS last_at
    FROM parked WHERE replay_at IS NULL GROUP BY reason, routing_key ORDER BY max(last_at) DESC
""")


async def list_silent_agencies(connection: AsyncConnection) -> Sequence[Mapping[str, Any]]:
    """Lists the agencies about whose silence people were alerted, the longest silent first."""
    return [row._asdict() for row in await connection.execute(_SILENT)]


async def list_parked_messages(connection: AsyncConnection) -> Sequence[Mapping[str, Any]]:
    """Counts the parked messages of this service by reason and routing key, never their content."""
    return [row._asdict() for row in await connection.execute(_PARKED)]

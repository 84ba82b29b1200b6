"""How many reports came from one sender in an hour, under a key that names nobody."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Integer, LargeBinary

_ADD = text("""
    INSERT INTO report_count (hour, sender, count)
    SELECT :hour, sender, count FROM unnest(:senders, :counts) AS c (sender, count) ORDER BY sender
    ON CONFLICT (hour, sender) DO UPDATE SET count = report_count.count + excluded.count
    RETURNING sender, count
""").bindparams(
    bindparam("hour", type_=DateTime(timezone=True)),
    bindparam("senders", type_=ARRAY(LargeBinary)),
    bindparam("counts", type_=ARRAY(Integer)),
)
_DELETE = text("DELETE FROM report_count WHERE hour < :before").bindparams(
    bindparam("before", type_=DateTime(timezone=True))
)


async def add_report_counts(
    connection: AsyncConnection, hour: datetime, counts: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Adds reports of senders; returns how many each has sent in this hour."""
    values = {"hour": hour, "senders": list(counts), "counts": list(counts.values())}
    return {bytes(sender): int(count) for sender, count in await connection.execute(_ADD, values)}


async def delete_report_counts(connection: AsyncConnection, before: datetime) -> None:
    """Deletes the counts of earlier hours."""
    await connection.execute(_DELETE, {"before": before})

"""Publishes again what a service has published, for a broker that lost messages."""

from datetime import datetime, timedelta

import asyncpg

_LOST = "published_at >= $1 AND routing_key NOT LIKE 'agency.%.manifest.v1'"
"""A manifest of before is replaced by the next one, so only events are published again."""
_RESEND = f"""
    UPDATE outbox SET published_at = NULL, last_error = 'sent_again', due_at = now() + found.position * interval '1 us'
    FROM (
        SELECT message_id, row_number() OVER (ORDER BY created_at) AS position FROM outbox WHERE {_LOST}
    ) AS found
    WHERE outbox.message_id = found.message_id
"""  # noqa: S608 - a constant


class WrongDatabase(Exception):
    """The database belongs to another service; the message names it."""


async def resend_published(database_url: str, service: str, since: datetime, *, dry_run: bool) -> int:
    """Makes the relay publish again what was published since a moment, the oldest batch first; returns how many.

    Bodies, ids and signatures stay as they were, so whoever has a message already drops the copy. Receivers put what
    arrives out of order in order.
    """
    connection = await asyncpg.connect(database_url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        if not name.endswith(f"_{service}"):
            msg = f"{name} is not the database of {service}; see SIMPUL_DATABASE_URL"
            raise WrongDatabase(msg)
        if dry_run:
            return int(await connection.fetchval(f"SELECT count(*) FROM outbox WHERE {_LOST}", since))  # noqa: S608 - a constant
        return int((await connection.execute(_RESEND, since)).split()[-1])
    finally:
        await connection.close()


def moment_of(text: str, now: datetime) -> datetime:
    """Reads `90m`, `2h`, `3d` as before now, or a moment in ISO 8601 with its offset; raises ValueError."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isdecimal() and text[-1] in units:
        return now - timedelta(**{units[text[-1]]: int(text[:-1])})
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "the moment has no offset"
        raise ValueError(msg)
    return moment

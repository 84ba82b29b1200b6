"""Counts what waits in the message tables of the services."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from simpul_cli.doctor.checks.messages import LONG_WAIT, MessageFacts, ServiceMessages
from simpul_cli.reconciliation import count_unseen_reports

MAX_REFUSALS: Final = 3
_UNPUBLISHED: Final = """
    SELECT count(*), coalesce(now() - min(CASE WHEN last_error = 'sent_again' THEN due_at ELSE created_at END),
        interval '0'), count(*) FILTER (WHERE attempts >= $1)
    FROM outbox WHERE published_at IS NULL
"""
_PARKED: Final = "SELECT reason, count(*) FROM parked WHERE replay_at IS NULL GROUP BY reason"
_WAITING: Final = "SELECT count(*) FROM inbox WHERE state <> 'done' AND received_at < now() - $1::interval"
_HELD: Final = "SELECT waits_for, count(*) FROM held_event GROUP BY waits_for"


async def collect(databases: Mapping[str, str], city_code: str, now: datetime) -> MessageFacts:
    """Collects the messages of the databases that answer."""
    services = {service: await _count(url) for service, url in databases.items()}
    has_both = {"intake", "routing"} <= databases.keys()
    return MessageFacts(services, await count_unseen_reports(databases, city_code, now) if has_both else 0)


async def _count(url: str) -> ServiceMessages:
    connection: Any = await asyncpg.connect(url)
    try:
        count, oldest, refused = await connection.fetchrow(_UNPUBLISHED, MAX_REFUSALS)
        return ServiceMessages(
            oldest_unpublished=max(oldest, timedelta()),
            unpublished=count,
            refused=refused,
            parked=dict(await connection.fetch(_PARKED)),
            waiting=await connection.fetchval(_WAITING, LONG_WAIT),
            held=dict(await connection.fetch(_HELD)),
        )
    finally:
        await connection.close()

"""Compares what services have published with what their receivers have, over all databases of a city.

A broker that lost its volume, or a restored backup, has lost messages that a sender counts as published. The sender
still has each of them, so it publishes them again; receivers drop what they have already.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from simpul_runtime.inbox.verification import Delivery
from simpul_schema import service_source
from simpul_schema.catalog import ANY_SERVICE, CATALOG, SERVICES
from simpul_schema.names import EVENTS

GRACE: Final = timedelta(minutes=10)
"""How long a published event may be on its way before it counts as missing."""
PAGE: Final = 2_000
REPORTED: Final = "case.reported.v1"
_PUBLISHED: Final = """
    SELECT message_id, event_id, routing_key FROM outbox
    WHERE exchange = $1 AND routing_key = ANY($2) AND published_at < $3 AND created_at >= $4
"""
_PRESENT: Final = "SELECT event_id FROM inbox WHERE source = $1 AND event_id = ANY($2)"
_BODIES: Final = "SELECT message_id, body, coalesce(signature, '') FROM outbox WHERE message_id = ANY($1)"
_PARKED: Final = "SELECT digest FROM parked WHERE digest = ANY($1)"
_RESEND: Final = """
    UPDATE outbox SET published_at = NULL, last_error = 'sent_again', due_at = now() WHERE message_id = ANY($1)
"""


@dataclass(frozen=True, slots=True)
class Missing:
    """Events of one type that a sender has published and a receiver lacks."""

    sender: str
    receiver: str
    wire_name: str
    count: int


@dataclass(frozen=True, slots=True)
class _Published:
    message_id: UUID
    event_id: UUID
    wire_name: str


async def find_missing(
    databases: Mapping[str, str],
    city_code: str,
    *,
    since: datetime,
    before: datetime,
    wire_names: Collection[str] = (),
    repair: bool = False,
) -> list[Missing]:
    """Finds the events published from `since` until `before` that a receiving service neither has nor has parked.

    With `repair` their sender publishes them again. `wire_names` limits the types.
    """
    found = []
    for sender in databases.keys() & set(SERVICES):
        for receiver in databases.keys() - {sender}:
            names = [
                row.wire_name
                for row in CATALOG
                if row.publisher in (sender, ANY_SERVICE) and receiver in row.consumers and EVENTS in row.exchanges
                if not wire_names or row.wire_name in wire_names
            ]
            if names:
                lost = await _compare(
                    databases[sender],
                    databases[receiver],
                    service_source(city_code, sender),
                    names,
                    since,
                    before,
                    repair,
                )
                counts = Counter(one.wire_name for one in lost)
                found += [Missing(sender, receiver, name, count) for name, count in counts.items()]
    return sorted(found, key=lambda one: (one.sender, one.receiver, one.wire_name))


async def count_unseen_reports(databases: Mapping[str, str], city_code: str, now: datetime) -> int:
    """Counts the reports of the last month that were answered with 202 and that routing never saw."""
    missing = await find_missing(
        {service: databases[service] for service in ("intake", "routing")},
        city_code,
        since=now - timedelta(days=31),
        before=now - GRACE,
        wire_names=(REPORTED,),
    )
    return sum(one.count for one in missing)


async def _compare(
    sender_url: str,
    receiver_url: str,
    source: str,
    names: Iterable[str],
    since: datetime,
    before: datetime,
    repair: bool,
) -> list[_Published]:
    sender: Any = await asyncpg.connect(sender_url)
    receiver: Any = await asyncpg.connect(receiver_url)
    lost: list[_Published] = []
    try:
        async with sender.transaction():
            cursor = await sender.cursor(_PUBLISHED, EVENTS, list(names), before, since)
            while page := await cursor.fetch(PAGE):
                lost += await _find_lost(sender, receiver, source, [_Published(*row) for row in page])
        if repair and lost:
            await sender.execute(_RESEND, [one.message_id for one in lost])
    finally:
        await sender.close()
        await receiver.close()
    return lost


async def _find_lost(sender: Any, receiver: Any, source: str, page: list[_Published]) -> list[_Published]:
    present = {row[0] for row in await receiver.fetch(_PRESENT, source, [one.event_id for one in page])}
    absent = [one for one in page if one.event_id not in present]
    if not absent:
        return []
    bodies = await sender.fetch(_BODIES, [one.message_id for one in absent])
    digests = {message_id: Delivery(body, signature, "", "").parked_digest for message_id, body, signature in bodies}
    parked = {row[0] for row in await receiver.fetch(_PARKED, list(digests.values()))}
    return [one for one in absent if digests.get(one.message_id) not in parked]

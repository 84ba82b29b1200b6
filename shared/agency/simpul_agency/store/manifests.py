"""Compares the events received with the delivery manifests of the city."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, exists, literal_column, or_, select, update

from simpul_agency.drivers import Tables
from simpul_agency.records import DeliveryManifest, DeliveryStatus
from simpul_agency.store.tables import INBOX, MANIFEST, MANIFEST_ENTRY, PARKED_MESSAGE, insert_unless_known

MAX_MISSING_RANGES: Final = 20
"""Missing ranges that are reported at once."""

# A manifest that arrives after a newer one still lists what was sent; its other values are out of date.
_WHEN_NEWER: Final = ", ".join(
    f"{name} = CASE WHEN excluded.sequence > delivery_manifest.sequence"
    f" THEN excluded.{name} ELSE delivery_manifest.{name} END"
    for name in ("received_at", "issued_at", "next_due_at", "sequence")
)
_ADD: Final = insert_unless_known(
    MANIFEST,
    "(source) DO UPDATE SET last_number = CASE WHEN excluded.last_number > delivery_manifest.last_number"
    f" THEN excluded.last_number ELSE delivery_manifest.last_number END, {_WHEN_NEWER}",
)
# An event that is withheld now may have been listed as sent before.
_ADD_ENTRY: Final = insert_unless_known(
    MANIFEST_ENTRY, "(source, manifest_number) DO UPDATE SET is_withheld = excluded.is_withheld"
)
_ALL: Final = select(
    MANIFEST.c.source,
    MANIFEST.c.last_number,
    MANIFEST.c.settled_number,
    MANIFEST.c.received_at,
    MANIFEST.c.issued_at,
    MANIFEST.c.next_due_at,
).order_by(MANIFEST.c.source)
_RECEIVED: Final = (
    select(MANIFEST_ENTRY.c.manifest_number)
    .where(
        MANIFEST_ENTRY.c.source == bindparam("of_source"),
        MANIFEST_ENTRY.c.manifest_number > bindparam("settled_number"),
        or_(
            MANIFEST_ENTRY.c.is_withheld == literal_column("1"),
            # By the id alone: routing lists what it passes on for intake, too.
            *(exists().where(table.c.event_id == MANIFEST_ENTRY.c.event_id) for table in (INBOX, PARKED_MESSAGE)),
        ),
    )
    .order_by(MANIFEST_ENTRY.c.manifest_number)
)
_SETTLE: Final = (
    update(MANIFEST).where(MANIFEST.c.source == bindparam("of_source")).values(settled_number=bindparam("number"))
)
_DELETE_SETTLED: Final = delete(MANIFEST_ENTRY).where(
    MANIFEST_ENTRY.c.source == bindparam("of_source"), MANIFEST_ENTRY.c.manifest_number <= bindparam("number")
)


async def add_manifests(tables: Tables, messages: Sequence[DeliveryManifest], now: float) -> None:
    """Stores delivery manifests, in whatever order they arrive."""
    entries = [
        {"source": one.source, "manifest_number": number, "event_id": event_id, "is_withheld": int(is_withheld)}
        for one in messages
        for number, event_id, is_withheld in one.events
    ]
    await tables.write(_ADD, [_row(one, now) for one in messages])
    await tables.write(_ADD_ENTRY, entries)


async def compare_manifests(tables: Tables) -> list[DeliveryStatus]:
    """Compares the received events with the manifests of every source."""
    return [await _compare_source(tables, *row) for row in await tables.fetch(_ALL)]


def _row(manifest: DeliveryManifest, now: float) -> dict[str, Any]:
    return {
        "source": manifest.source,
        "sequence": manifest.sequence,
        "last_number": manifest.last_number,
        "settled_number": 0,
        "received_at": now,
        "issued_at": manifest.issued_at,
        "next_due_at": now + manifest.max_silence,
    }


async def _compare_source(
    tables: Tables,
    source: str,
    last_number: int,
    settled_number: int,
    received_at: float,
    issued_at: float,
    next_due_at: float,
) -> DeliveryStatus:
    """Advances the settled number up to the first gap, and deletes the entries that are settled."""
    received: list[int] = []
    if settled_number < last_number:
        rows = await tables.fetch(_RECEIVED, of_source=source, settled_number=settled_number)
        received = [number for (number,) in rows]
    settled, missing = _find_missing(received, settled_number, last_number)
    if settled > settled_number:
        row = {"of_source": source, "number": settled}
        await tables.write(_SETTLE, [row])
        await tables.write(_DELETE_SETTLED, [row])
    ranges = tuple(missing[:MAX_MISSING_RANGES])
    return DeliveryStatus(source, last_number, settled, received_at, issued_at, next_due_at, ranges)


def _find_missing(received: Sequence[int], settled_number: int, last_number: int) -> tuple[int, list[tuple[int, int]]]:
    """Returns the number up to which nothing is missing, and the missing ranges after it."""
    missing: list[tuple[int, int]] = []
    settled = previous = settled_number
    for number in (*received, last_number + 1) if settled_number < last_number else ():
        if number > previous + 1:
            missing.append((previous + 1, number - 1))
        elif not missing:
            settled = number if number <= last_number else settled
        previous = number
    return settled, missing

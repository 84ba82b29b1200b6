"""What the city says it has sent, compared with what is here."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, exists, literal_column, or_, select, update

from simpul_agency.drivers import Tables
from simpul_agency.records import Account, Standing
from simpul_agency.store.tables import INBOX, MANIFEST, MANIFEST_ENTRY, PARKED_MESSAGE, insert_unless_known

MAX_HOLES: Final = 20
"""Ranges that are reported at once."""

# A manifest that overtook a newer one still lists what was sent; the rest of it is out of date.
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
# What is withheld now may have been listed as sent before.
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
_HERE: Final = (
    select(MANIFEST_ENTRY.c.manifest_number)
    .where(
        MANIFEST_ENTRY.c.source == bindparam("of_source"),
        MANIFEST_ENTRY.c.manifest_number > bindparam("settled"),
        or_(
            MANIFEST_ENTRY.c.is_withheld == literal_column("1"),
            *(
                exists().where(table.c.source == MANIFEST_ENTRY.c.source, table.c.event_id == MANIFEST_ENTRY.c.event_id)
                for table in (INBOX, PARKED_MESSAGE)
            ),
        ),
    )
    .order_by(MANIFEST_ENTRY.c.manifest_number)
)
_SETTLE: Final = (
    update(MANIFEST).where(MANIFEST.c.source == bindparam("of_source")).values(settled_number=bindparam("reached"))
)
_FORGET: Final = delete(MANIFEST_ENTRY).where(
    MANIFEST_ENTRY.c.source == bindparam("of_source"), MANIFEST_ENTRY.c.manifest_number <= bindparam("reached")
)


async def add_manifests(tables: Tables, accounts: Sequence[Account], now: float) -> None:
    """Store delivery manifests, in whatever order they come."""
    entries = [
        {"source": one.source, "manifest_number": number, "event_id": event_id, "is_withheld": int(is_withheld)}
        for one in accounts
        for number, event_id, is_withheld in one.events
    ]
    await tables.write(_ADD, [_row(one, now) for one in accounts])
    await tables.write(_ADD_ENTRY, entries)


async def settle(tables: Tables) -> list[Standing]:
    """Compare what is here with the manifests of every source."""
    return [await _settle_source(tables, *row) for row in await tables.fetch(_ALL)]


def _row(account: Account, now: float) -> dict[str, Any]:
    return {
        "source": account.source, "sequence": account.sequence, "last_number": account.last_number,
        "settled_number": 0, "received_at": now, "issued_at": account.issued_at,
        "next_due_at": now + account.allowance,
    }  # fmt: skip


async def _settle_source(
    tables: Tables,
    source: str,
    last_number: int,
    settled: int,
    received_at: float,
    issued_at: float,
    next_due_at: float,
) -> Standing:
    """Move on as far as nothing is missing, and delete the entries behind."""
    here: list[int] = []
    if settled < last_number:
        here = [number for (number,) in await tables.fetch(_HERE, of_source=source, settled=settled)]
    reached, holes = _compare(here, settled, last_number)
    if reached > settled:
        row = {"of_source": source, "reached": reached}
        await tables.write(_SETTLE, [row])
        await tables.write(_FORGET, [row])
    return Standing(source, last_number, reached, received_at, issued_at, next_due_at, tuple(holes[:MAX_HOLES]))


def _compare(here: Sequence[int], settled: int, last_number: int) -> tuple[int, list[tuple[int, int]]]:
    """The number up to which nothing is missing, and the ranges that are."""
    holes: list[tuple[int, int]] = []
    reached = before = settled
    for number in (*here, last_number + 1) if settled < last_number else ():
        if number > before + 1:
            holes.append((before + 1, number - 1))
        elif not holes:
            reached = number if number <= last_number else reached
        before = number
    return reached, holes

"""Delivery manifests: the numbers of sent events, missed manifests, and resend requests."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.tables import ResendRequestRow
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import ReferralHeartbeatV1
from simpul_schema.messages.account import MOST_IN_ACCOUNT, WindowData

MAX_NUMBERED: Final = 1_000
"""Events numbered in one transaction; a city sends fewer in a minute, and a backlog takes several transactions."""
RESEND_AFTER: Final = timedelta(seconds=5)
"""Events published less than this ago are still on their way, so they are not sent again."""
MANIFEST_RETENTION: Final = timedelta(hours=1)
_LOCK_KEY: Final = 7_135_712
"""Key of the advisory lock; arbitrary, but unique in routing's database."""

_TRY_ADVISORY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})")
# The relay marks rows as published meanwhile. Those that it has locked wait for the next turn, so that neither waits
# for the other.
_NUMBER = text("""
    WITH unnumbered AS (
        SELECT message_id, split_part(routing_key, '.', 2) AS agency, created_at FROM outbox
        WHERE exchange = 'simpul.referrals' AND number IS NULL ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    positioned AS (
        SELECT message_id, agency, row_number() OVER (PARTITION BY agency ORDER BY created_at, message_id) AS position
        FROM unnumbered),
    totals AS (SELECT agency, count(*) AS events FROM positioned GROUP BY agency),
    manifest AS (
        INSERT INTO agency_manifest (agency, last_manifest_number) SELECT agency, events FROM totals ORDER BY agency
        ON CONFLICT (agency) DO UPDATE
            SET last_manifest_number = agency_manifest.last_manifest_number + excluded.last_manifest_number
        RETURNING agency, last_manifest_number)
    UPDATE outbox o SET number = manifest.last_manifest_number - totals.events + positioned.position
    FROM positioned JOIN manifest USING (agency) JOIN totals USING (agency) WHERE o.message_id = positioned.message_id
    RETURNING positioned.agency, o.number, o.event_id, o.correlation_id, o.message_id
""")
_REACHABLE = text("""
    SELECT a.agency, coalesce(m.last_manifest_number, 0) AS last_manifest_number
    FROM unnest(:agencies) AS a (agency) LEFT JOIN agency_manifest m USING (agency)
    WHERE coalesce(m.missed_manifests, 0) < :max_missed ORDER BY a.agency
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
_LAST_NUMBER = text("SELECT last_manifest_number FROM agency_manifest WHERE agency = :agency")
_COUNT_MISSED = text("""
    INSERT INTO agency_manifest (agency, last_manifest_number, missed_manifests)
    SELECT agency, 0, 1 FROM unnest(:agencies) AS a (agency)
    ON CONFLICT (agency) DO UPDATE SET missed_manifests = agency_manifest.missed_manifests + 1
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
_RESET_MISSED = text("""
    UPDATE agency_manifest m SET missed_manifests = 0 FROM (
        SELECT agency FROM agency_manifest WHERE agency = ANY(:agencies) AND missed_manifests > 0
        ORDER BY agency FOR UPDATE) s
    WHERE m.agency = s.agency
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
_DELETE_OLD = text("""
    DELETE FROM outbox WHERE number = 0 AND created_at < :before AND published_at IS NOT NULL
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_EXCLUDE = text("UPDATE outbox SET number = 0 WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_BY_NUMBER = text("""
    SELECT number, event_id, correlation_id, message_id FROM outbox
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND number BETWEEN :first AND :last
    ORDER BY number LIMIT :limit
""")
_BY_TIME = text("""
    SELECT number, event_id, correlation_id, message_id FROM outbox
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND created_at >= :since AND created_at < :until
    ORDER BY number LIMIT :limit
""").bindparams(bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)))
# The relay is publishing or marking rows that it has locked, so they are on their way.
_REQUEUE = text("""
    UPDATE outbox SET published_at = NULL, due_at = :now, last_error = 'sent_again'
    WHERE message_id IN (
        SELECT message_id FROM outbox WHERE message_id = ANY(:ids) AND published_at < :before FOR UPDATE SKIP LOCKED)
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)),
    bindparam("before", type_=DateTime(timezone=True)),
)  # fmt: skip
_TAKE_REQUEST = text("""
    DELETE FROM resend_request WHERE event_id IN (
        SELECT event_id FROM resend_request WHERE due_at <= :now ORDER BY due_at, event_id LIMIT 1
        FOR UPDATE SKIP LOCKED)
    RETURNING event_id, agency, first_number, last_number, since, until
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_POSTPONE_REQUEST = text("UPDATE resend_request SET due_at = :due_at WHERE event_id = :event_id").bindparams(
    bindparam("due_at", type_=DateTime(timezone=True))
)


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event that was sent to one agency, under its number."""

    number: int
    event_id: UUID
    case_id: UUID
    message_id: UUID
    """Id of its row in the outbox."""


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """An agency's request for a range of events."""

    event_id: UUID
    window: WindowData


async def try_advisory_lock(transaction: Transaction) -> bool:
    """Takes the advisory lock of the manifests until the transaction ends; False if another process holds it."""
    return bool((await transaction.connection.execute(_TRY_ADVISORY_LOCK)).scalar())


async def number_sent_events(transaction: Transaction) -> Mapping[str, list[SentEvent]]:
    """Numbers the events sent to agencies since the last call, without gaps; returns them by agency."""
    found: dict[str, list[SentEvent]] = {}
    for agency, *sent in await transaction.connection.execute(_NUMBER, {"limit": MAX_NUMBERED}):
        found.setdefault(agency, []).append(SentEvent(*sent))
    return {agency: sorted(sent, key=lambda event: event.number) for agency, sent in found.items()}


async def find_reachable_agencies(
    transaction: Transaction, agencies: Collection[str], max_missed: int
) -> dict[str, int]:
    """Finds the agencies that missed fewer than `max_missed` manifests, with the highest number of each."""
    values = {"agencies": sorted(agencies), "max_missed": max_missed}
    return {row.agency: row.last_manifest_number for row in await transaction.connection.execute(_REACHABLE, values)}


async def find_last_number(transaction: Transaction, agency: str) -> int:
    """Finds the highest number of an agency; 0 if it was sent nothing."""
    return (await transaction.connection.execute(_LAST_NUMBER, {"agency": agency})).scalar() or 0


async def count_missed_manifests(transaction: Transaction, agencies: Collection[str]) -> None:
    """Counts a manifest to each agency as missed until the agency is seen again."""
    await transaction.connection.execute(_COUNT_MISSED, {"agencies": sorted(agencies)})


async def reset_missed_manifests(transaction: Transaction, agencies: Collection[str]) -> None:
    """Resets the missed manifests of agencies that were seen."""
    await transaction.connection.execute(_RESET_MISSED, {"agencies": sorted(agencies)})


async def exclude_manifests_from_numbering(transaction: Transaction) -> None:
    """Flushes the transaction and excludes its manifests from the numbering; other events in it are numbered."""
    await transaction.flush()
    suffix = ReferralHeartbeatV1.WIRE_NAME.partition(".")[2]
    ids = [row.message_id for row in transaction.outgoing if row.routing_key.endswith(f".{suffix}")]
    await transaction.connection.execute(_EXCLUDE, {"ids": ids})


async def delete_old_manifests(transaction: Transaction) -> None:
    """Deletes published manifests older than MANIFEST_RETENTION; newer ones replace them."""
    await transaction.connection.execute(_DELETE_OLD, {"before": transaction.now - MANIFEST_RETENTION})


def add_resend_request(transaction: Transaction, event_id: UUID, window: WindowData) -> None:
    """Adds a resend request, which the manifest loop answers in a transaction of its own."""
    transaction.add(
        ResendRequestRow,
        {
            "event_id": event_id, "agency": window.agency, "first_number": window.first_number,
            "last_number": window.last_number, "since": window.since, "until": window.until, "due_at": transaction.now,
        },
    )  # fmt: skip


async def take_resend_request(transaction: Transaction) -> ResendRequest | None:
    """Removes and returns the oldest due resend request that no other process is answering."""
    row = (await transaction.connection.execute(_TAKE_REQUEST, {"now": transaction.now})).one_or_none()
    if row is None:
        return None
    event_id, *window = row
    names = ("agency", "first_number", "last_number", "since", "until")
    return ResendRequest(event_id, WindowData.model_validate(dict(zip(names, window, strict=True))))


async def postpone_resend_request(transaction: Transaction, event_id: UUID, due_at: datetime) -> None:
    """Postpones a resend request whose answer failed."""
    await transaction.connection.execute(_POSTPONE_REQUEST, {"event_id": event_id, "due_at": due_at})


async def find_events_to_resend(transaction: Transaction, window: WindowData) -> list[SentEvent]:
    """Finds the first events of a requested range, at most as many as one manifest holds."""
    values = {"agency": window.agency, "limit": MOST_IN_ACCOUNT}
    if window.since is not None:
        until = window.until or transaction.now
        found = await transaction.connection.execute(_BY_TIME, {**values, "since": window.since, "until": until})
    else:
        last = window.last_number or 2**62
        found = await transaction.connection.execute(_BY_NUMBER, {**values, "first": window.first_number, "last": last})
    return [SentEvent(*row) for row in found]


async def requeue_events(transaction: Transaction, message_ids: Collection[UUID]) -> None:
    """Makes the relay publish events again, unchanged."""
    values = {"ids": list(message_ids), "now": transaction.now, "before": transaction.now - RESEND_AFTER}
    await transaction.connection.execute(_REQUEUE, values)

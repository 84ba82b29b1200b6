"""Delivery manifests: the numbers of sent events, missed manifests, and resend requests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.domain.silence import Silence
from simpul_routing.tables import ResendRequestRow
from simpul_runtime.outbox_message import requeue_messages
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import AgencyManifestV1
from simpul_schema.messages.delivery import MAX_MANIFEST_ENTRIES

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
    INSERT INTO agency_manifest (agency, last_manifest_number, missed_manifests, silent_since)
    SELECT agency, 0, 1, :now FROM unnest(:agencies) AS a (agency)
    ON CONFLICT (agency) DO UPDATE SET missed_manifests = agency_manifest.missed_manifests + 1,
        silent_since = coalesce(agency_manifest.silent_since, excluded.silent_since)
""").bindparams(bindparam("agencies", type_=ARRAY(Text)), bindparam("now", type_=DateTime(timezone=True)))
_RESET_MISSED = text("""
    UPDATE agency_manifest m SET missed_manifests = 0, silent_since = NULL, alarm_id = NULL FROM (
        SELECT agency, alarm_id, silent_since FROM agency_manifest
        WHERE agency = ANY(:agencies) AND missed_manifests > 0 ORDER BY agency FOR UPDATE) s
    WHERE m.agency = s.agency RETURNING s.agency, s.alarm_id, s.silent_since
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
# An agency that was never sent anything has nothing to miss.
_RAISE_ALARMS = text("""
    UPDATE agency_manifest m SET alarm_id = gen_random_uuid() FROM (
        SELECT agency FROM agency_manifest
        WHERE silent_since <= :before AND alarm_id IS NULL AND last_manifest_number > 0 ORDER BY agency FOR UPDATE) s
    WHERE m.agency = s.agency RETURNING m.agency, m.alarm_id, m.silent_since
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_DELETE_OLD = text("""
    DELETE FROM outbox WHERE number = 0 AND created_at < :before AND published_at IS NOT NULL
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_EXCLUDE = text("UPDATE outbox SET number = 0 WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_SENT = """
    SELECT number, event_id, correlation_id, message_id, octet_length(body) = 0,
        routing_key LIKE '%.dossier.withdrawn.v1' FROM outbox"""
_BY_NUMBER = text(f"""{_SENT}
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND number BETWEEN :first AND :last
    ORDER BY number LIMIT :limit
""")
_BY_TIME = text(f"""{_SENT}
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND number >= :first AND created_at >= :since AND created_at < :until
    ORDER BY number LIMIT :limit
""").bindparams(bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)))
_TAKE_REQUEST = text("""
    DELETE FROM resend_request WHERE event_id = ANY (ARRAY(
        SELECT event_id FROM resend_request WHERE due_at <= :now ORDER BY due_at, event_id LIMIT 1
        FOR UPDATE SKIP LOCKED))
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
    is_emptied: bool = False
    """Whether its content was withdrawn, so that it cannot be sent again."""
    is_withdrawal: bool = False
    """Whether it asks the agency to delete a dossier, which an excluded agency must do, too."""


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """An agency's request for a range of events, or what is left of it: by number, or by time from a number on."""

    event_id: UUID
    agency: str
    first_number: int
    last_number: int | None
    since: datetime | None
    until: datetime | None

    def continue_after(self, sent: Sequence[SentEvent]) -> "ResendRequest":
        """Returns what is left of the request after its first events were sent."""
        return replace(self, first_number=sent[-1].number + 1)


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
    values = {"agencies": sorted(agencies), "now": transaction.now}
    await transaction.connection.execute(_COUNT_MISSED, values)


async def raise_silence_alarms(transaction: Transaction, before: datetime) -> list[Silence]:
    """Raises one alarm for each agency that has sent nothing since a moment; returns the new ones."""
    return [Silence(*row) for row in await transaction.connection.execute(_RAISE_ALARMS, {"before": before})]


async def reset_missed_manifests(transaction: Transaction, agencies: Collection[str]) -> list[Silence]:
    """Resets the missed manifests of agencies that were seen; returns the alarms that are over."""
    rows = await transaction.connection.execute(_RESET_MISSED, {"agencies": sorted(agencies)})
    return [Silence(*row) for row in rows if row.alarm_id]


async def exclude_manifests_from_numbering(transaction: Transaction) -> None:
    """Flushes the transaction and excludes its manifests from the numbering; other events in it are numbered."""
    await transaction.flush()
    suffix = AgencyManifestV1.WIRE_NAME.partition(".")[2]
    ids = [row.message_id for row in transaction.outgoing if row.routing_key.endswith(f".{suffix}")]
    await transaction.connection.execute(_EXCLUDE, {"ids": ids})


async def delete_old_manifests(transaction: Transaction) -> None:
    """Deletes published manifests older than MANIFEST_RETENTION; newer ones replace them."""
    await transaction.connection.execute(_DELETE_OLD, {"before": transaction.now - MANIFEST_RETENTION})


def add_resend_request(transaction: Transaction, request: ResendRequest) -> None:
    """Adds a resend request, which the manifest loop answers in a transaction of its own."""
    transaction.add_row(
        ResendRequestRow,
        {
            "event_id": request.event_id,
            "agency": request.agency,
            "first_number": request.first_number,
            "last_number": request.last_number,
            "since": request.since,
            "until": request.until,
            "due_at": transaction.now,
        },
    )


async def take_resend_request(transaction: Transaction) -> ResendRequest | None:
    """Removes and returns the oldest due resend request that no other process is answering."""
    row = (await transaction.connection.execute(_TAKE_REQUEST, {"now": transaction.now})).one_or_none()
    if row is None:
        return None
    # A request by time that an older version stored begins at no number.
    return ResendRequest(row.event_id, row.agency, row.first_number or 1, row.last_number, row.since, row.until)


async def postpone_resend_request(transaction: Transaction, event_id: UUID, due_at: datetime) -> None:
    """Postpones a resend request whose answer failed."""
    await transaction.connection.execute(_POSTPONE_REQUEST, {"event_id": event_id, "due_at": due_at})


async def find_events_to_resend(transaction: Transaction, request: ResendRequest) -> list[SentEvent]:
    """Finds the first events of a requested range, at most as many as one manifest holds."""
    values = {"agency": request.agency, "first": request.first_number, "limit": MAX_MANIFEST_ENTRIES}
    if request.since is not None:
        values |= {"since": request.since, "until": request.until or transaction.now}
        found = await transaction.connection.execute(_BY_TIME, values)
    else:
        found = await transaction.connection.execute(_BY_NUMBER, values | {"last": request.last_number or 2**62})
    return [SentEvent(*row) for row in found]


async def requeue_events(transaction: Transaction, message_ids: Collection[UUID]) -> None:
    """Makes the relay publish events again, unchanged."""
    await requeue_messages(
        transaction.connection,
        message_ids,
        published_before=transaction.now - RESEND_AFTER,
        now=transaction.now,
    )

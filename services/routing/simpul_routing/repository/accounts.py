"""What each agency was sent, under numbers without gaps, and sending a part of it again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_runtime.transaction import Transaction
from simpul_schema.messages.account import MOST_IN_ACCOUNT, WindowData

NUMBERED_AT_ONCE: Final = 1_000
"""What a city sends its agencies in a minute is less; a backlog takes several turns."""
SETTLED: Final = timedelta(seconds=5)
"""What was sent less than this ago is on its way, and is not sent again."""
KEPT: Final = timedelta(hours=1)
"""Heartbeats older than this are forgotten."""
_LOCK: Final = 7_135_712
"""Any number does, as long as nothing else in routing's database locks it."""

_TRY_LOCK = text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
_NUMBER = text("""
    WITH fresh AS (
        SELECT message_id, split_part(routing_key, '.', 2) AS agency,
            row_number() OVER (PARTITION BY split_part(routing_key, '.', 2) ORDER BY created_at, message_id) AS place
        FROM (SELECT message_id, routing_key, created_at FROM outbox
              WHERE exchange = 'simpul.referrals' AND number IS NULL ORDER BY created_at LIMIT :most) oldest),
    share AS (SELECT agency, count(*) AS many FROM fresh GROUP BY agency),
    account AS (
        INSERT INTO agency_account (agency, last_number) SELECT agency, many FROM share
        ON CONFLICT (agency) DO UPDATE SET last_number = agency_account.last_number + excluded.last_number
        RETURNING agency, last_number)
    UPDATE outbox o SET number = account.last_number - share.many + fresh.place
    FROM fresh JOIN account USING (agency) JOIN share USING (agency) WHERE o.message_id = fresh.message_id
    RETURNING fresh.agency, o.number, o.event_id, o.correlation_id, o.message_id
""")
_LAST_NUMBERS = text("SELECT agency, last_number FROM agency_account")
_BEAT = text("""
    INSERT INTO agency_account (agency, last_number, unheard)
    SELECT agency, 0, 1 FROM unnest(:agencies) AS a (agency)
    ON CONFLICT (agency) DO UPDATE SET unheard = agency_account.unheard + 1
    WHERE agency_account.unheard < :most
    RETURNING agency, last_number
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
_HEARD = text("UPDATE agency_account SET unheard = 0 WHERE agency = ANY(:agencies) AND unheard > 0").bindparams(
    bindparam("agencies", type_=ARRAY(Text))
)
_FORGET = text("""
    DELETE FROM outbox WHERE number = 0 AND created_at < :before AND published_at IS NOT NULL
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_NOT_COUNTED = text("UPDATE outbox SET number = 0 WHERE message_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_BY_NUMBER = text("""
    SELECT number, event_id, correlation_id, message_id FROM outbox
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND number BETWEEN :first AND :last
    ORDER BY number LIMIT :most
""")
_BY_TIME = text("""
    SELECT number, event_id, correlation_id, message_id FROM outbox
    WHERE exchange = 'simpul.referrals' AND number > 0 AND split_part(routing_key, '.', 2) = :agency
        AND created_at >= :since AND created_at < :until
    ORDER BY number LIMIT :most
""").bindparams(bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)))
_SEND_AGAIN = text("""
    UPDATE outbox SET published_at = NULL, due_at = :now, last_error = 'sent_again'
    WHERE message_id = ANY(:ids) AND published_at < :settled
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)),
    bindparam("settled", type_=DateTime(timezone=True)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """One event that went to one agency."""

    number: int
    event_id: UUID
    case_id: UUID
    message_id: UUID
    """Of the outbox."""


async def keeps_accounts_alone(transaction: Transaction) -> bool:
    """Whether no other process keeps the accounts at this moment; none will until the transaction ends."""
    return bool((await transaction.connection.execute(_TRY_LOCK)).scalar())


async def number_what_was_sent(transaction: Transaction) -> Mapping[str, list[Sent]]:
    """Give what went to agencies since the last time its numbers, by agency."""
    found: dict[str, list[Sent]] = {}
    for agency, *sent in await transaction.connection.execute(_NUMBER, {"most": NUMBERED_AT_ONCE}):
        found.setdefault(agency, []).append(Sent(*sent))
    return {agency: sorted(sent, key=lambda one: one.number) for agency, sent in found.items()}


async def last_numbers(transaction: Transaction) -> dict[str, int]:
    """The highest number of each agency that was sent anything."""
    found = await transaction.connection.execute(_LAST_NUMBERS)
    return {row.agency: row.last_number for row in found}


async def agencies_to_beat(transaction: Transaction, agencies: Collection[str], most: int) -> dict[str, int]:
    """Those that have said something within the last `most` heartbeats, with their highest number; one more counts."""
    found = await transaction.connection.execute(_BEAT, {"agencies": sorted(agencies), "most": most})
    return {row.agency: row.last_number for row in found}


async def heard_from(transaction: Transaction, agencies: Collection[str]) -> None:
    """These agencies said something, so somebody is there."""
    await transaction.connection.execute(_HEARD, {"agencies": sorted(agencies)})


async def leave_uncounted(transaction: Transaction) -> None:
    """The heartbeats of this transaction count in no account; what else was announced in it does."""
    await transaction.flush()
    ids = [row.message_id for row in transaction.outgoing if row.routing_key.endswith(".heartbeat.v1")]
    await transaction.connection.execute(_NOT_COUNTED, {"ids": ids})


async def forget_heartbeats(transaction: Transaction) -> None:
    """Old ones tell nothing that a newer one does not."""
    await transaction.connection.execute(_FORGET, {"before": transaction.now - KEPT})


async def sent_in(transaction: Transaction, window: WindowData) -> list[Sent]:
    """The first events of a window, as many as an account holds."""
    asked = {"agency": window.agency, "most": MOST_IN_ACCOUNT}
    if window.since is not None:
        until = window.until or transaction.now
        found = await transaction.connection.execute(_BY_TIME, {**asked, "since": window.since, "until": until})
    else:
        last = window.last_number or 2**62
        found = await transaction.connection.execute(_BY_NUMBER, {**asked, "first": window.first_number, "last": last})
    return [Sent(*row) for row in found]


async def send_again(transaction: Transaction, message_ids: Collection[UUID]) -> None:
    """Let the relay publish these once more, as they were."""
    await transaction.connection.execute(
        _SEND_AGAIN, {"ids": list(message_ids), "now": transaction.now, "settled": transaction.now - SETTLED}
    )

"""The weekly messages by which people prove that they can be reached, and who has confirmed them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from simpul_notify.domain.reach_checks import WEEK
from simpul_notify.domain.responders import Recipient
from simpul_notify.repository import deliveries
from simpul_runtime.transaction import Transaction

_PEOPLE = (
    bindparam("responders", type_=ARRAY(Text)),
    bindparam("methods", type_=ARRAY(Text)),
    bindparam("addresses", type_=ARRAY(Text)),
)
# Whoever has answered anything by the same number or address within a week needs no message to prove it.
_PLAN = text(f"""
    INSERT INTO reach_check (responder, method, address_digest, due_at, state)
    SELECT p.responder, p.method, p.address_digest, :due, CASE WHEN EXISTS (
        SELECT FROM notification n WHERE {deliveries.sent_to("p")}
            AND n.created_at > CAST(:due AS timestamptz) - CAST(:week AS interval) AND n.answered_at IS NOT NULL)
        THEN 'unneeded' ELSE 'waiting' END
    FROM unnest(:responders, :methods, :addresses) AS p (responder, method, address_digest)
    WHERE NOT EXISTS (SELECT FROM reach_check c WHERE c.due_at = :due) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
""").bindparams(*_PEOPLE)  # noqa: S608 - constants
_CLAIM = text("""
    WITH claimed AS (
        SELECT c.responder, c.method FROM reach_check c
        WHERE c.due_at = :due AND c.state = 'waiting' AND (c.not_before IS NULL OR c.not_before <= now())
        ORDER BY c.responder, c.method LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE reach_check c SET not_before = now() + CAST(:lease AS interval)
    FROM claimed d WHERE c.due_at = :due AND c.responder = d.responder AND c.method = d.method
    RETURNING c.responder, c.method, c.address_digest
""")
_RECORD = text("""
    UPDATE reach_check SET state = :state, problem = :problem, notification_id = :notification_id,
        not_before = :not_before
    WHERE responder = :responder AND method = :method AND due_at = :due
""")
_ANSWERED = f"""EXISTS (SELECT FROM notification n WHERE {deliveries.sent_to("c")}
    AND n.answered_at >= c.due_at)"""
# The newest check of each number and address that was due before a moment.
_FIND = text(f"""
    SELECT DISTINCT ON (c.responder, c.method) c.responder, c.method, c.address_digest, c.due_at, c.state, c.problem,
        c.state = 'unneeded' OR {_ANSWERED} AS is_confirmed,
        (SELECT max(d.state) FROM delivery d WHERE d.notification_id = c.notification_id) AS delivery
    FROM reach_check c WHERE c.due_at <= :before AND c.due_at > CAST(:before AS timestamptz) - CAST(:week AS interval)
    ORDER BY c.responder, c.method, c.due_at DESC
""")  # noqa: S608 - constants
_DELETE = text("DELETE FROM reach_check WHERE due_at < :before")
WAITING: Final = "waiting"
SENT: Final = "sent"
REFUSED: Final = "refused"
UNNEEDED: Final = "unneeded"


@dataclass(frozen=True, slots=True)
class ReachCheck:
    """What came of the weekly message to one number or address."""

    recipient: Recipient
    """Its place in the roster when it was due."""
    address_digest: str
    due_at: datetime
    state: str
    """`waiting`, `sent`, `refused`, or `unneeded` where an answer within the week had proved it before."""
    problem: str
    is_confirmed: bool
    delivery: int
    """The highest reported `DeliveryState`."""


async def plan_checks(transaction: Transaction, recipients: Mapping[Recipient, str], due: datetime) -> None:
    """Stores whom the message of a week goes to, unless that is stored; whoever comes later gets the next week's.

    `recipients` have the digests of their numbers and addresses.
    """
    people = {
        "responders": [one.responder for one in recipients],
        "methods": [one.method for one in recipients],
        "addresses": list(recipients.values()),
    }
    await transaction.connection.execute(_PLAN, {**people, "due": due, "week": WEEK})


async def claim_checks(
    transaction: Transaction, due: datetime, lease: timedelta, limit: int
) -> list[tuple[Recipient, str]]:
    """Returns recipients whose message has to leave, as they were planned, with the digests of their addresses.

    No other process gets them before the lease has ended.
    """
    rows = await transaction.connection.execute(_CLAIM, {"due": due, "lease": lease, "limit": limit})
    return [(Recipient.by_method(row.responder, row.method), row.address_digest) for row in rows]


async def record_check(
    transaction: Transaction,
    recipient: Recipient,
    due: datetime,
    state: str,
    *,
    notification_id: UUID | None = None,
    problem: str = "",
    not_before: datetime | None = None,
) -> None:
    """Records what came of an attempt; one that waits is repeated after `not_before`."""
    await transaction.connection.execute(
        _RECORD,
        {
            "responder": recipient.responder,
            "method": recipient.method,
            "due": due,
            "state": state,
            "problem": problem,
            "notification_id": notification_id,
            "not_before": not_before,
        },
    )


async def find_checks(connection: AsyncConnection, before: datetime) -> list[ReachCheck]:
    """Finds the last check of each number and address among those of the week before a moment."""
    return [
        ReachCheck(
            Recipient.by_method(row.responder, row.method),
            row.address_digest,
            row.due_at,
            row.state,
            row.problem,
            row.is_confirmed,
            row.delivery or 0,
        )
        for row in await connection.execute(_FIND, {"before": before, "week": WEEK})
    ]


async def delete_checks(transaction: Transaction, before: datetime) -> None:
    """Deletes the checks of before a moment."""
    await transaction.connection.execute(_DELETE, {"before": before})

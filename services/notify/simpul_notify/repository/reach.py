"""The notification log as people read it: who was informed, by which means, how soon, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_notify.domain.alerts import Occasion
from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.responders import Recipient
from simpul_runtime.transaction import Transaction

_ON_HANDSET, _FAILED = int(DeliveryState.ON_HANDSET), int(DeliveryState.FAILED)
_ACKNOWLEDGED: Final = ", ".join(f"'{answer.value}'" for answer in Answer if answer.is_acknowledgement)
# A message that left by two providers counts once, with the better result, unless providers are compared.
_FIND_REACH = text(f"""
    WITH informed AS (
        SELECT to_char(n.created_at AT TIME ZONE :zone, 'YYYY-MM') AS month, n.responder, n.channel AS method,
            n.created_at, d.provider, d.state, d.state_at,
            CASE WHEN n.answer IN ({_ACKNOWLEDGED}) THEN n.answered_at END AS acknowledged_at,
            (SELECT min(a.party) FROM alert a WHERE a.alert_id = ANY(n.alerts)) AS party,
            row_number() OVER (PARTITION BY n.notification_id ORDER BY d.state = {_FAILED}, d.state DESC, d.provider)
                AS place
        FROM notification n JOIN delivery d USING (notification_id)
        WHERE n.alerts <> '{{}}' AND n.created_at >= :since AND n.created_at < :until)
    SELECT month, party, CASE WHEN :by = 'responder' THEN responder ELSE '' END AS responder, method,
        CASE WHEN :by = 'provider' THEN provider ELSE '' END AS provider, count(*) AS messages,
        count(*) FILTER (WHERE state >= {_ON_HANDSET}) AS arrived,
        count(*) FILTER (WHERE state = {_FAILED}) AS failed, count(acknowledged_at) AS acknowledged,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM state_at - created_at))
            FILTER (WHERE state >= {_ON_HANDSET}) AS arrival,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM acknowledged_at - created_at)) AS answer
    FROM informed WHERE party IS NOT NULL AND (place = 1 OR :by = 'provider') GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
""")  # noqa: S608 - constants
_MEASURE = text(f"""
    SELECT d.provider,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.state_at - d.accepted_at))
            FILTER (WHERE d.state >= {_ON_HANDSET}) AS arrival,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM n.answered_at - d.accepted_at))
            FILTER (WHERE n.answer IN ({_ACKNOWLEDGED})) AS answer
    FROM delivery d JOIN notification n USING (notification_id) WHERE d.accepted_at > :since GROUP BY d.provider
""")  # noqa: S608 - constants
# An escalation is opened again in the transaction that marks the one before, which is of the same event.
_FIND_EVENTS = text("""
    SELECT to_char(e.opened_at AT TIME ZONE :zone, 'YYYY-MM') AS month, e.party, count(*) AS events,
        count(e.alerted_at) AS informed, count(e.exhausted_at) AS exhausted,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM e.alerted_at - e.opened_at)) AS delay
    FROM escalation e
    WHERE e.opened_at >= :since AND e.opened_at < :until AND NOT EXISTS (
        SELECT FROM escalation before WHERE before.referral_id = e.referral_id AND before.party = e.party
            AND before.step = e.step AND before.clock = e.clock AND before.repeated_at = e.opened_at)
    GROUP BY 1, 2 ORDER BY 1, 2
""")
_FIND_LOG = text("""
    SELECT a.created_at, a.settled_at, a.step, a.party, a.responder, a.channel AS method, a.state, a.reason, d.provider,
        d.state AS delivery, d.state_at AS delivered_at, n.answer, n.answered_by, n.answered_at
    FROM alert a LEFT JOIN notification n ON n.notification_id = a.notification_id
        LEFT JOIN delivery d ON d.notification_id = n.notification_id
    WHERE a.referral_id BETWEEN :first AND :last ORDER BY a.created_at, a.responder, a.channel, d.provider
""")


class GroupBy(StrEnum):
    """What the figures of a month and an agency are divided by."""

    AGENCY = "agency"
    RESPONDER = "responder"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Reach:
    """How the messages of a month reached the people who are alerted for a party; durations are medians in seconds."""

    month: str
    """As 2026-11, by the city's time."""
    party: str
    responder: str
    """Empty unless divided by responders."""
    method: str
    provider: str
    """Empty unless divided by providers."""
    messages: int
    arrived: int
    """Those whose arrival the phone has reported; a mail reports nothing."""
    failed: int
    acknowledged: int
    arrival_seconds: float | None
    answer_seconds: float | None


@dataclass(frozen=True, slots=True)
class Informed:
    """Of how many events a party had to know in a month, and of how many somebody was informed."""

    month: str
    party: str
    events: int
    informed: int
    exhausted: int
    """Everybody was alerted and nobody acknowledged it."""
    delay_seconds: float | None
    """Median time until a provider had taken the first message."""


@dataclass(frozen=True, slots=True)
class LoggedAlert:
    """One alert about a referral, and what came of it."""

    created_at: datetime
    settled_at: datetime | None
    occasion: str
    party: str
    recipient: Recipient
    state: str
    reason: str
    provider: str
    delivery: str
    delivered_at: datetime | None
    answer: str
    answered_at: datetime | None


async def measure_reach(transaction: Transaction, since: datetime) -> dict[str, tuple[float | None, float | None]]:
    """Measures, by provider, the median seconds until messages were on the phone and until they were acknowledged."""
    rows = await transaction.connection.execute(_MEASURE, {"since": since})
    return {row.provider: (row.arrival, row.answer) for row in rows}


async def find_reach(
    connection: AsyncConnection, since: datetime, until: datetime, by: GroupBy, zone: str
) -> list[Reach]:
    """Finds how messages of a period reached people, by month and party; drills and weekly tests do not count."""
    rows = await connection.execute(_FIND_REACH, {"since": since, "until": until, "by": by.value, "zone": zone})
    return [Reach(*row) for row in rows]


async def find_informed(connection: AsyncConnection, since: datetime, until: datetime, zone: str) -> list[Informed]:
    """Finds of how many events somebody was informed, by month and party; alerting again about one counts once."""
    rows = await connection.execute(_FIND_EVENTS, {"since": since, "until": until, "zone": zone})
    return [Informed(*row) for row in rows]


async def find_log(connection: AsyncConnection, first: UUID, last: UUID) -> list[LoggedAlert]:
    """Finds every alert about the referral with an id in this range, the oldest first."""
    rows = await connection.execute(_FIND_LOG, {"first": first, "last": last})
    return list(map(_logged, rows))


def _logged(row: Any) -> LoggedAlert:
    return LoggedAlert(
        row.created_at,
        row.settled_at,
        Occasion(row.step).name.lower(),
        row.party,
        Recipient.by_method(row.responder, row.method),
        row.state,
        row.reason or "",
        row.provider or "",
        "" if row.delivery is None else DeliveryState(row.delivery).name.lower(),
        row.delivered_at,
        row.answer or "",
        row.answered_at,
    )

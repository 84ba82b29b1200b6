"""Counts of referrals, clocks and rights in a period."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from simpul_routing.domain.indicators import Line
from simpul_schema.vocabulary import RightState


class IndicatorKey(StrEnum):
    """The key that referrals are counted by; two keys at once could identify a child."""

    AGENCY = "agency"
    SERVICE = "service"
    URGENCY = "urgency"
    MONTH = "month"


_KEY: Final = {
    IndicatorKey.AGENCY: "agency",
    IndicatorKey.SERVICE: "service",
    IndicatorKey.URGENCY: "urgency",
    IndicatorKey.MONTH: "to_char(offered_at AT TIME ZONE :zone, 'YYYY-MM')",
}
_COUNTS: Final = ("offered", "delivered", "seen", "accepted", "declined", "completed", "ping_pong")
NESTED_COUNTS: Final = ("offered", "delivered", "seen", "accepted", "completed")
"""Each of these counts is a subset of the one before."""
_TIMES: Final = ("delivered", "seen", "accepted")
_PERIOD: Final = (
    bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)),
)  # fmt: skip
_REFERRALS: Final = """
    WITH counted AS (
        SELECT {key} AS key, offered_at, state, outcome, reroute_count, accepted_at,
            coalesce(seen_at, accepted_at) AS seen_at, coalesce(delivered_at, seen_at, accepted_at) AS delivered_at
        FROM referral WHERE offered_at >= :since AND offered_at < :until AND state <> 'entered_in_error')
    SELECT key, count(*) AS offered, count(delivered_at) AS delivered, count(seen_at) AS seen,
        count(accepted_at) AS accepted, count(*) FILTER (WHERE state IN ('declined', 'rerouted')) AS declined,
        count(outcome) AS completed, count(*) FILTER (WHERE reroute_count > 1) AS ping_pong, {times}
    FROM counted GROUP BY key ORDER BY key
"""
_CLOCKS = text("""
    SELECT clock AS key, count(*) FILTER (WHERE c.stopped_at <= c.due_at) AS met,
        count(*) FILTER (WHERE coalesce(c.stopped_at, :now) > c.due_at) AS missed,
        count(*) FILTER (WHERE c.stopped_at IS NULL AND c.due_at >= :now) AS running
    FROM referral r JOIN clock c ON c.referral_id = r.referral_id
    WHERE r.offered_at >= :since AND r.offered_at < :until
        -- The clocks of a withdrawn referral were neither met nor missed; those of a rerouted one continue elsewhere.
        AND NOT (c.stopped_at = r.ended_at AND (r.state IN ('cancelled', 'revoked', 'entered_in_error')
            OR r.state = 'rerouted' AND c.clock NOT IN ('receipt', 'answer')))
    GROUP BY clock ORDER BY clock
""").bindparams(*_PERIOD, bindparam("now", type_=DateTime(timezone=True)))
_RIGHTS = text("""
    SELECT e.key, e.value->>'state' AS state, count(*) AS cases
    FROM case_plan p, jsonb_each(p.rights) e
    WHERE p.decided_at >= :since AND p.decided_at < :until GROUP BY 1, 2 ORDER BY 1
""").bindparams(*_PERIOD)


async def count_referrals(
    connection: AsyncConnection, by: IndicatorKey, since: datetime, until: datetime, zone: str
) -> list[Line]:
    """Counts the referrals offered in a period by how far they came, with the seconds that each step took."""
    times = ", ".join(
        f"percentile_cont({part / 100}) WITHIN GROUP (ORDER BY extract(epoch FROM {name}_at - offered_at)) "
        f"AS {name}_p{part}"
        for name in _TIMES
        for part in (50, 90)
    )
    values = {"since": since, "until": until} | ({"zone": zone} if by is IndicatorKey.MONTH else {})
    query = text(_REFERRALS.format(key=_KEY[by], times=times)).bindparams(*_PERIOD)
    return [
        Line(
            row.key,
            {name: getattr(row, name) for name in _COUNTS},
            {f"{name}_p{part}": getattr(row, f"{name}_p{part}") for name in _TIMES for part in (50, 90)},
        )
        for row in await connection.execute(query, values)
    ]


async def count_clocks(connection: AsyncConnection, since: datetime, until: datetime, now: datetime) -> list[Line]:
    """Counts the clocks of referrals offered in a period: met, missed or running."""
    values = {"since": since, "until": until, "now": now}
    return [
        Line(row.key, {"met": row.met, "missed": row.missed, "running": row.running})
        for row in await connection.execute(_CLOCKS, values)
    ]


async def count_rights(connection: AsyncConnection, since: datetime, until: datetime) -> list[Line]:
    """Counts the rights of cases decided in a period, by their state."""
    found: dict[str, dict[str, int]] = {}
    for row in await connection.execute(_RIGHTS, {"since": since, "until": until}):
        found.setdefault(row.key, {state.value: 0 for state in RightState})[row.state] = row.cases
    return [Line(right, states) for right, states in found.items()]

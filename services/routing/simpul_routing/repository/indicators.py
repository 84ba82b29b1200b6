"""Counts of services, clocks and rights in a period."""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from simpul_routing.domain.counting import ERRONEOUS_CASES, ERRONEOUS_SERVICES, UNCOUNTED_CASES
from simpul_routing.domain.indicators import Line
from simpul_schema.vocabulary import RightState


class IndicatorKey(StrEnum):
    """The key that services are counted by; two keys at once could identify a child."""

    AGENCY = "agency"
    SERVICE = "service"
    URGENCY = "urgency"
    MONTH = "month"


_KEY: Final = {
    IndicatorKey.AGENCY: "r.agency",
    IndicatorKey.SERVICE: "s.service",
    IndicatorKey.URGENCY: "s.urgency",
    IndicatorKey.MONTH: "to_char(s.offered_at AT TIME ZONE :zone, 'YYYY-MM')",
}
_COUNTS: Final = ("offered", "delivered", "seen", "accepted", "declined", "completed", "ping_pong")
NESTED_COUNTS: Final = ("offered", "delivered", "seen", "accepted", "completed")
"""Each of these counts is a subset of the one before."""
_TIMES: Final = ("delivered", "seen", "accepted")
_PERIOD: Final = (bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)))


def _codes(states: Iterable[Enum]) -> str:
    return ", ".join(sorted(f"'{state.value}'" for state in states))


_JOINED: Final = "referral_service s JOIN referral r USING (referral_id) JOIN case_plan p USING (case_id)"
_COUNTED: Final = (
    f"s.offered_at >= :since AND s.offered_at < :until AND s.state NOT IN ({_codes(ERRONEOUS_SERVICES)})"
    f" AND p.state NOT IN ({_codes(ERRONEOUS_CASES)})"
)
"""The services of a period that count."""
_SERVICES: Final = f"""
    WITH counted AS (
        SELECT {{key}} AS key, s.offered_at, s.state, s.outcome, s.reroute_count, s.accepted_at,
            coalesce(s.seen_at, s.accepted_at) AS seen_at,
            coalesce(s.delivered_at, s.seen_at, s.accepted_at) AS delivered_at
        FROM {_JOINED} WHERE {_COUNTED})
    SELECT key, count(*) AS offered, count(delivered_at) AS delivered, count(seen_at) AS seen,
        count(accepted_at) AS accepted, count(*) FILTER (WHERE state IN ('declined', 'rerouted')) AS declined,
        count(outcome) AS completed, count(*) FILTER (WHERE reroute_count > 1) AS ping_pong, {{times}}
    FROM counted GROUP BY key ORDER BY key
"""  # noqa: S608 - built from constants
_CLOCKS = text(f"""
    SELECT clock AS key, count(*) FILTER (WHERE c.stopped_at <= c.due_at) AS met,
        count(*) FILTER (WHERE coalesce(c.stopped_at, :now) > c.due_at) AS missed,
        count(*) FILTER (WHERE c.stopped_at IS NULL AND c.due_at >= :now) AS running
    FROM {_JOINED} JOIN clock c ON c.service_id = s.service_id
    WHERE {_COUNTED}
        -- The clocks of a withdrawn service were neither met nor missed; those of a rerouted one continue elsewhere.
        AND NOT (c.stopped_at = s.ended_at AND (s.state IN ('cancelled', 'revoked')
            OR s.state = 'rerouted' AND c.clock NOT IN ('receipt', 'answer')))
    GROUP BY clock ORDER BY clock
""").bindparams(*_PERIOD, bindparam("now", type_=DateTime(timezone=True)))  # noqa: S608 - built from constants
_RIGHTS = text(f"""
    SELECT e.key, e.value->>'state' AS state, count(*) AS cases
    FROM case_plan p, jsonb_each(p.rights) e
    WHERE p.decided_at >= :since AND p.decided_at < :until AND p.state NOT IN ({_codes(UNCOUNTED_CASES)})
    GROUP BY 1, 2 ORDER BY 1
""").bindparams(*_PERIOD)  # noqa: S608 - built from constants


async def count_services(
    connection: AsyncConnection, by: IndicatorKey, since: datetime, until: datetime, zone: str
) -> list[Line]:
    """Counts the services offered in a period by how far they came, with the seconds that each step took."""
    times = ", ".join(
        f"percentile_cont({part / 100}) WITHIN GROUP (ORDER BY extract(epoch FROM {name}_at - offered_at)) "
        f"AS {name}_p{part}"
        for name in _TIMES
        for part in (50, 90)
    )
    values = {"since": since, "until": until} | ({"zone": zone} if by is IndicatorKey.MONTH else {})
    query = text(_SERVICES.format(key=_KEY[by], times=times)).bindparams(*_PERIOD)
    return [
        Line(
            row.key,
            {name: getattr(row, name) for name in _COUNTS},
            {f"{name}_p{part}": getattr(row, f"{name}_p{part}") for name in _TIMES for part in (50, 90)},
        )
        for row in await connection.execute(query, values)
    ]


async def count_clocks(connection: AsyncConnection, since: datetime, until: datetime, now: datetime) -> list[Line]:
    """Counts the clocks of services offered in a period: met, missed or running."""
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

"""The only SQL of notify."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, SmallInteger, Text, Uuid

from simpul_notify.domain import Alert, AlertState, Occasion, Progress, needed_until
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import AlertChannel, Urgency

_MOMENT = DateTime(timezone=True)
_COLUMNS: Mapping[str, Any] = {
    "alert_id": Uuid, "referral_id": Uuid, "case_id": Uuid, "step": SmallInteger, "clock": Text, "agency": Text,
    "party": Text, "contact": Text, "channel": Text, "urgency": Text, "answer_by": _MOMENT,
    "needed_until": SmallInteger, "state": Text, "reason": Text,
}  # fmt: skip
_NAMES = ", ".join(_COLUMNS)

# Why nobody needs an alert any more, of a row that the statement calls `a`; NULL while somebody does.
_UNNEEDED = """CASE
    WHEN EXISTS (SELECT FROM excluded_party e WHERE e.case_id = a.case_id AND e.party = a.party) THEN 'excluded'
    WHEN EXISTS (SELECT FROM referral_progress p WHERE p.referral_id = a.referral_id
        AND p.progress >= a.needed_until) THEN 'settled' END"""
_SAME_STEP = """o.referral_id = a.referral_id AND o.step = a.step AND o.contact = a.contact AND o.channel = a.channel
    AND o.clock <> a.clock"""
"""Another deadline (row `o`) whose same step the same person is alerted of by the same channel."""
_COVERED_FOR = "interval '1 minute'"

_ADD = text(f"""
    INSERT INTO alert ({_NAMES}, attempts, due_at, created_at, settled_at)
    SELECT a.alert_id, a.referral_id, a.case_id, a.step, a.clock, a.agency, a.party, a.contact, a.channel, a.urgency,
        a.answer_by, a.needed_until, CASE WHEN u.unneeded IS NULL THEN a.state ELSE 'suppressed' END,
        coalesce(u.unneeded, a.reason), 0,
        -- The sweep decides whether the person needs a second text, once the fate of the first is known.
        CASE WHEN EXISTS (SELECT FROM alert o WHERE {_SAME_STEP}
            AND (o.state = 'pending' OR o.settled_at > now() - {_COVERED_FOR}))
            THEN now() ELSE CAST(:due AS timestamptz) END,
        clock_timestamp(), CASE WHEN u.unneeded IS NULL AND a.state = 'pending' THEN NULL ELSE now() END
    FROM unnest({", ".join(f":{name}" for name in _COLUMNS)}) AS a ({_NAMES}),
        LATERAL (SELECT {_UNNEEDED} AS unneeded) u
    ON CONFLICT DO NOTHING RETURNING alert_id, state, due_at
""").bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()))  # noqa: S608 - constants
_TAKE_DUE = text(f"""
    WITH due AS (
        SELECT a.alert_id, coalesce({_UNNEEDED}, CASE WHEN EXISTS (SELECT FROM alert o WHERE {_SAME_STEP}
            AND o.state = 'sent' AND o.settled_at > a.created_at - {_COVERED_FOR}) THEN 'covered' END) AS unneeded
        FROM alert a WHERE a.state = 'pending' AND a.due_at <= now() AND a.channel <> ALL(:full)
            AND NOT EXISTS (SELECT FROM alert o WHERE {_SAME_STEP} AND o.state = 'pending'
                AND o.created_at < a.created_at)
        ORDER BY a.urgency <> 'high', a.due_at LIMIT :most FOR UPDATE OF a SKIP LOCKED)
    UPDATE alert a SET due_at = now() + :lease,
        state = CASE WHEN due.unneeded IS NULL THEN 'pending' ELSE 'suppressed' END, reason = due.unneeded,
        settled_at = CASE WHEN due.unneeded IS NULL THEN NULL ELSE now() END
    FROM due WHERE a.alert_id = due.alert_id
    RETURNING a.alert_id, a.referral_id, a.case_id, a.contact, a.channel, a.urgency, a.answer_by, a.step, a.clock,
        a.agency, a.party, a.attempts, a.due_at, a.reason
""").bindparams(bindparam("full", type_=ARRAY(Text)))  # noqa: S608 - constants
_RENEW = text(f"""
    UPDATE alert a SET due_at = now() + :lease FROM unnest(:ids, :leases) AS held (alert_id, due_at)
    WHERE a.alert_id = held.alert_id AND a.due_at = held.due_at AND a.state = 'pending' AND {_UNNEEDED} IS NULL
    RETURNING a.alert_id, a.due_at, a.urgency, a.answer_by
""").bindparams(  # noqa: S608 - constants
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("leases", type_=ARRAY(_MOMENT))
)
_SETTLE = text("""
    UPDATE alert a SET state = s.state, attempts = s.attempts, due_at = s.due_at, reason = s.reason,
        settled_at = CASE WHEN s.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM unnest(:ids, :states, :attempts, :due, :reasons) AS s (alert_id, state, attempts, due_at, reason)
    -- What left all the same while its referral was settled did reach somebody.
    WHERE a.alert_id = s.alert_id AND (a.state = 'pending' OR a.state = 'suppressed' AND s.state = 'sent')
    RETURNING a.alert_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("attempts", type_=ARRAY(SmallInteger)), bindparam("due", type_=ARRAY(_MOMENT)),
    bindparam("reasons", type_=ARRAY(Text)),
)  # fmt: skip
_TAKE_OVER = text("UPDATE alert SET due_at = now() WHERE state = 'pending' AND attempts = 0")
_ADVANCE = text("""
    INSERT INTO referral_progress (referral_id, progress)
    SELECT r, CAST(:progress AS smallint) FROM unnest(:ids) AS r ON CONFLICT (referral_id) DO UPDATE
        SET progress = greatest(referral_progress.progress, excluded.progress)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_SUPPRESS_SETTLED = text("""
    UPDATE alert SET state = 'suppressed', reason = 'settled', settled_at = now()
    WHERE referral_id = ANY(:ids) AND state = 'pending' AND needed_until <= :progress RETURNING alert_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_EXCLUDE = text("INSERT INTO excluded_party (case_id, party) VALUES (:case_id, :party) ON CONFLICT DO NOTHING")
_SUPPRESS_EXCLUDED = text("""
    UPDATE alert SET state = 'suppressed', reason = 'excluded', settled_at = now()
    WHERE case_id = :case_id AND party = ANY(:parties) AND state = 'pending' RETURNING alert_id
""").bindparams(bindparam("parties", type_=ARRAY(Text)))
_AMEND = text("""
    UPDATE alert a SET urgency = n.urgency, answer_by = CASE WHEN a.step = 1 THEN n.answer_by ELSE a.answer_by END
    FROM unnest(:ids, :urgencies, :deadlines) AS n (referral_id, urgency, answer_by)
    WHERE a.referral_id = n.referral_id AND a.state = 'pending'
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("urgencies", type_=ARRAY(Text)),
    bindparam("deadlines", type_=ARRAY(_MOMENT)),
)  # fmt: skip
_WAITING = text("""
    SELECT channel, count(*) AS waiting, extract(epoch FROM now() - min(created_at)) AS oldest,
        coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE urgency = 'high')), 0) AS oldest_urgent
    FROM alert WHERE state = 'pending' GROUP BY channel
""")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an attempt: the alert's state, why, and when it is due again."""

    alert: Alert
    state: AlertState
    due_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep found: alerts to send, reasons of those nobody needs, and rows that cannot be read."""

    alerts: Sequence[Alert]
    suppressed: Mapping[UUID, str]
    unreadable: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pending alerts of a channel, ages in seconds."""

    channel: str
    count: int
    oldest: float
    oldest_urgent: float


async def add_alerts(
    transaction: Transaction, alerts: Sequence[Alert], lease: timedelta, *, failure: str = ""
) -> tuple[list[Alert], list[Alert]]:
    """Store alerts; returns those to send at once, and those that nobody needs any more.

    An alert that is known already is left alone, and one that another deadline may have covered waits for the sweep.
    With `failure` they are stored as failed for that reason.
    """
    due = transaction.now + lease
    state = AlertState.FAILED if failure else AlertState.PENDING
    columns = [(*_row_of(alert), state.value, failure or None) for alert in alerts]
    values = dict(zip(_COLUMNS, map(list, zip(*columns, strict=True)), strict=True))
    stored = {row.alert_id: row for row in await transaction.connection.execute(_ADD, values | {"due": due})}
    known = [(alert, stored[alert.alert_id]) for alert in alerts if alert.alert_id in stored]
    send = [replace(a, leased_until=due) for a, row in known if row.state == "pending" and row.due_at == due]
    return send, [alert for alert, row in known if row.state == "suppressed"]


def _row_of(alert: Alert) -> tuple[Any, ...]:
    return (
        alert.alert_id, alert.referral_id, alert.case_id, int(alert.occasion), alert.clock, alert.agency, alert.party,
        alert.contact, alert.channel.value, alert.urgency.value, alert.answer_by, int(needed_until(alert.clock)),
    )  # fmt: skip


async def settle(transaction: Transaction, fates: Sequence[Fate]) -> set[UUID]:
    """Write the fates; returns the alerts whose fate was not known before."""
    changed = await transaction.connection.execute(
        _SETTLE,
        {
            "ids": [fate.alert.alert_id for fate in fates],
            "states": [fate.state.value for fate in fates],
            "attempts": [fate.alert.attempts for fate in fates],
            "due": [fate.due_at for fate in fates],
            "reasons": [fate.reason for fate in fates],
            "now": transaction.now,
        },
    )
    return set(changed.scalars())


async def take_due(transaction: Transaction, full: Sequence[str], most: int, lease: timedelta) -> Due:
    """Alerts that are due and still needed, the urgent first, kept from other processes for the lease.

    Those of the `full` channels stay where they are.
    """
    alerts, suppressed, unreadable = [], {}, []
    for row in await transaction.connection.execute(_TAKE_DUE, {"full": list(full), "most": most, "lease": lease}):
        if row.reason is not None:
            suppressed[row.alert_id] = row.reason
            continue
        try:
            alerts.append(_alert_of(row))
        except ValueError:
            unreadable.append(row.alert_id)
    return Due(alerts, suppressed, unreadable)


def _alert_of(row: Any) -> Alert:
    return Alert(
        row.alert_id, row.referral_id, row.case_id, row.contact, AlertChannel(row.channel), Urgency(row.urgency),
        row.answer_by, Occasion(row.step), row.clock, row.agency, row.party, row.attempts, row.due_at,
    )  # fmt: skip


async def renew_leases(transaction: Transaction, alerts: Sequence[Alert], lease: timedelta) -> dict[UUID, Alert]:
    """Keep alerts that waited for their turn; those that are unneeded or another process's are not returned."""
    held = {alert.alert_id: alert for alert in alerts}
    found = await transaction.connection.execute(
        _RENEW, {"ids": list(held), "leases": [alert.leased_until for alert in held.values()], "lease": lease}
    )
    return {
        row.alert_id: replace(
            held[row.alert_id], leased_until=row.due_at, urgency=Urgency(row.urgency), answer_by=row.answer_by
        )
        for row in found
    }


async def fail_unreadable(transaction: Transaction, alert_ids: Iterable[UUID]) -> None:
    """End rows that no version of the service could send."""
    await transaction.connection.execute(
        text("UPDATE alert SET state = 'failed', reason = 'unreadable', settled_at = now() WHERE alert_id = ANY(:ids)")
        .bindparams(bindparam("ids", type_=ARRAY(Uuid))),
        {"ids": list(alert_ids)},
    )  # fmt: skip


async def take_over(transaction: Transaction) -> None:
    """Make due at once what a process that ended had not tried yet."""
    await transaction.connection.execute(_TAKE_OVER)


async def advance(transaction: Transaction, referral_ids: Sequence[UUID], progress: Progress) -> int:
    """Record how far referrals have come and suppress what nobody needs any more; returns how many alerts."""
    ids = {"ids": sorted(set(referral_ids))}
    await transaction.connection.execute(_ADVANCE, ids | {"progress": int(progress)})
    suppressed = await transaction.connection.execute(_SUPPRESS_SETTLED, ids | {"progress": int(progress)})
    return len(suppressed.all())


async def exclude(transaction: Transaction, case_id: UUID, parties: Sequence[str]) -> int:
    """Record that parties receive nothing more of a case and suppress their alerts; returns how many."""
    await transaction.connection.execute(_EXCLUDE, [{"case_id": case_id, "party": party} for party in parties])
    suppressed = await transaction.connection.execute(
        _SUPPRESS_EXCLUDED, {"case_id": case_id, "parties": list(parties)}
    )
    return len(suppressed.all())


async def amend(transaction: Transaction, changes: Sequence[tuple[UUID, Urgency, datetime]]) -> None:
    """Give waiting alerts the urgency and deadline that their referrals have now."""
    await transaction.connection.execute(
        _AMEND,
        {
            "ids": [referral_id for referral_id, _, _ in changes],
            "urgencies": [urgency.value for _, urgency, _ in changes],
            "deadlines": [deadline for _, _, deadline in changes],
        },
    )


async def waiting(transaction: Transaction) -> list[Waiting]:
    """How many alerts wait, by channel, and for how long."""
    found = await transaction.connection.execute(_WAITING)
    return [Waiting(row.channel, row.waiting, float(row.oldest), float(row.oldest_urgent)) for row in found]

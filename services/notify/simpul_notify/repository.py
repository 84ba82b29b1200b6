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
    "party": Text, "responder": Text, "channel": Text, "urgency": Text, "deadline": _MOMENT,
    "needed_until": SmallInteger, "state": Text, "reason": Text,
}  # fmt: skip
_NAMES = ", ".join(_COLUMNS)

# Why the alert of row `a` is unnecessary; NULL while it is needed.
_UNNEEDED = """CASE
    WHEN EXISTS (SELECT FROM excluded_party e WHERE e.case_id = a.case_id AND e.party = a.party) THEN 'excluded'
    WHEN EXISTS (SELECT FROM referral_progress p WHERE p.referral_id = a.referral_id
        AND p.progress >= a.needed_until) THEN 'settled' END"""
_SAME_STEP = """o.referral_id = a.referral_id AND o.step = a.step AND o.responder = a.responder
    AND o.channel = a.channel AND o.clock <> a.clock"""
"""Matches an alert `o` to the same responder by the same channel about the same step of another deadline."""
_COVERING_PERIOD = "interval '1 minute'"
"""One alert to a responder covers others of the same step within this period."""

_ADD = text(f"""
    INSERT INTO alert ({_NAMES}, attempts, due_at, created_at, settled_at)
    SELECT a.alert_id, a.referral_id, a.case_id, a.step, a.clock, a.agency, a.party, a.responder, a.channel, a.urgency,
        a.deadline, a.needed_until, CASE WHEN u.unneeded IS NULL THEN a.state ELSE 'suppressed' END,
        coalesce(u.unneeded, a.reason), 0,
        -- The sweep decides whether a second alert is needed, when the result of the first is known.
        CASE WHEN EXISTS (SELECT FROM alert o WHERE {_SAME_STEP}
            AND (o.state = 'pending' OR o.settled_at > now() - {_COVERING_PERIOD}))
            THEN now() ELSE CAST(:due AS timestamptz) END,
        clock_timestamp(), CASE WHEN u.unneeded IS NULL AND a.state = 'pending' THEN NULL ELSE now() END
    FROM unnest({", ".join(f":{name}" for name in _COLUMNS)}) AS a ({_NAMES}),
        LATERAL (SELECT {_UNNEEDED} AS unneeded) u
    ON CONFLICT DO NOTHING RETURNING alert_id, state, due_at
""").bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()))  # noqa: S608 - constants
_CLAIM_DUE = text(f"""
    WITH due AS (
        SELECT a.alert_id, coalesce({_UNNEEDED}, CASE WHEN EXISTS (SELECT FROM alert o WHERE {_SAME_STEP}
            AND o.state = 'sent' AND o.settled_at > a.created_at - {_COVERING_PERIOD}) THEN 'covered' END) AS unneeded
        FROM alert a WHERE a.state = 'pending' AND a.due_at <= now() AND a.channel <> ALL(:full_channels)
            AND NOT EXISTS (SELECT FROM alert o WHERE {_SAME_STEP} AND o.state = 'pending'
                AND o.created_at < a.created_at)
        ORDER BY a.urgency <> 'high', a.due_at LIMIT :limit FOR UPDATE OF a SKIP LOCKED)
    UPDATE alert a SET due_at = now() + :lease,
        state = CASE WHEN due.unneeded IS NULL THEN 'pending' ELSE 'suppressed' END, reason = due.unneeded,
        settled_at = CASE WHEN due.unneeded IS NULL THEN NULL ELSE now() END
    FROM due WHERE a.alert_id = due.alert_id
    RETURNING a.alert_id, a.referral_id, a.case_id, a.responder, a.channel, a.urgency, a.deadline, a.step, a.clock,
        a.agency, a.party, a.attempts, a.due_at, a.reason
""").bindparams(bindparam("full_channels", type_=ARRAY(Text)))  # noqa: S608 - constants
_RENEW = text(f"""
    UPDATE alert a SET due_at = now() + :lease FROM unnest(:ids, :leases) AS leased (alert_id, due_at)
    WHERE a.alert_id = leased.alert_id AND a.due_at = leased.due_at AND a.state = 'pending' AND {_UNNEEDED} IS NULL
    RETURNING a.alert_id, a.due_at, a.urgency, a.deadline
""").bindparams(  # noqa: S608 - constants
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("leases", type_=ARRAY(_MOMENT))
)
_RECORD_RESULTS = text("""
    UPDATE alert a SET state = s.state, attempts = s.attempts, due_at = s.due_at, reason = s.reason,
        settled_at = CASE WHEN s.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM unnest(:ids, :states, :attempts, :due, :reasons) AS s (alert_id, state, attempts, due_at, reason)
    -- An attempt may succeed while its alert is being suppressed; then the alert was sent.
    WHERE a.alert_id = s.alert_id AND (a.state = 'pending' OR a.state = 'suppressed' AND s.state = 'sent')
    RETURNING a.alert_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("attempts", type_=ARRAY(SmallInteger)), bindparam("due", type_=ARRAY(_MOMENT)),
    bindparam("reasons", type_=ARRAY(Text)),
)  # fmt: skip
_RELEASE_UNTRIED = text("UPDATE alert SET due_at = now() WHERE state = 'pending' AND attempts = 0")
_RECORD_PROGRESS = text("""
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
_UPDATE_PENDING = text("""
    UPDATE alert a SET urgency = n.urgency, deadline = CASE WHEN a.step = 1 THEN n.deadline ELSE a.deadline END
    FROM unnest(:ids, :urgencies, :deadlines) AS n (referral_id, urgency, deadline)
    WHERE a.referral_id = n.referral_id AND a.state = 'pending'
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("urgencies", type_=ARRAY(Text)),
    bindparam("deadlines", type_=ARRAY(_MOMENT)),
)  # fmt: skip
_MEASURE_BACKLOGS = text("""
    SELECT channel, count(*) AS waiting, extract(epoch FROM now() - min(created_at)) AS oldest,
        coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE urgency = 'high')), 0) AS oldest_urgent
    FROM alert WHERE state = 'pending' GROUP BY channel
""")


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """An alert's state after an attempt, the reason, and when a pending alert is due again."""

    alert: Alert
    state: AlertState
    due_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DueAlerts:
    """Result of a sweep: alerts to send, reasons of suppressed alerts, and ids of unreadable rows."""

    alerts: Sequence[Alert]
    suppressed: Mapping[UUID, str]
    unreadable: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Pending alerts of a channel; ages in seconds."""

    channel: str
    count: int
    oldest: float
    oldest_urgent: float


async def add_alerts(
    transaction: Transaction, alerts: Sequence[Alert], lease: timedelta, *, failure: str = ""
) -> tuple[list[Alert], list[Alert]]:
    """Stores alerts; returns those to send immediately and those that are already unnecessary.

    Alerts that exist already are left unchanged. An alert that another one may cover is left to the sweep. With
    `failure`, all alerts are stored as failed for that reason.
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
        alert.responder, alert.channel.value, alert.urgency.value, alert.deadline, int(needed_until(alert.clock)),
    )  # fmt: skip


async def record_results(transaction: Transaction, results: Sequence[AttemptResult]) -> set[UUID]:
    """Stores the results of attempts; returns the ids of alerts that changed."""
    changed = await transaction.connection.execute(
        _RECORD_RESULTS,
        {
            "ids": [result.alert.alert_id for result in results],
            "states": [result.state.value for result in results],
            "attempts": [result.alert.attempts for result in results],
            "due": [result.due_at for result in results],
            "reasons": [result.reason for result in results],
            "now": transaction.now,
        },
    )
    return set(changed.scalars())


async def claim_due_alerts(
    transaction: Transaction, full_channels: Sequence[str], limit: int, lease: timedelta
) -> DueAlerts:
    """Claims due alerts for the duration of the lease, urgent ones first, and suppresses unnecessary ones.

    Skips the channels in `full_channels`.
    """
    alerts, suppressed, unreadable = [], {}, []
    for row in await transaction.connection.execute(
        _CLAIM_DUE, {"full_channels": list(full_channels), "limit": limit, "lease": lease}
    ):
        if row.reason is not None:
            suppressed[row.alert_id] = row.reason
            continue
        try:
            alerts.append(_alert_of(row))
        except ValueError:
            unreadable.append(row.alert_id)
    return DueAlerts(alerts, suppressed, unreadable)


def _alert_of(row: Any) -> Alert:
    return Alert(
        row.alert_id, row.referral_id, row.case_id, row.responder, AlertChannel(row.channel), Urgency(row.urgency),
        row.deadline, Occasion(row.step), row.clock, row.agency, row.party, row.attempts, row.due_at,
    )  # fmt: skip


async def renew_leases(transaction: Transaction, alerts: Sequence[Alert], lease: timedelta) -> dict[UUID, Alert]:
    """Renews leases; leaves out alerts that became unnecessary or belong to another process."""
    leased = {alert.alert_id: alert for alert in alerts}
    found = await transaction.connection.execute(
        _RENEW, {"ids": list(leased), "leases": [alert.leased_until for alert in leased.values()], "lease": lease}
    )
    return {
        row.alert_id: replace(
            leased[row.alert_id], leased_until=row.due_at, urgency=Urgency(row.urgency), deadline=row.deadline
        )
        for row in found
    }


async def fail_unreadable_alerts(transaction: Transaction, alert_ids: Iterable[UUID]) -> None:
    """Marks alerts as failed whose rows this version cannot read."""
    await transaction.connection.execute(
        text("UPDATE alert SET state = 'failed', reason = 'unreadable', settled_at = now() WHERE alert_id = ANY(:ids)")
        .bindparams(bindparam("ids", type_=ARRAY(Uuid))),
        {"ids": list(alert_ids)},
    )  # fmt: skip


async def release_untried_alerts(transaction: Transaction) -> None:
    """Makes alerts due that a stopped process had claimed but not attempted."""
    await transaction.connection.execute(_RELEASE_UNTRIED)


async def record_progress(transaction: Transaction, referral_ids: Sequence[UUID], progress: Progress) -> int:
    """Records progress of referrals and suppresses unnecessary alerts; returns their number."""
    ids = {"ids": sorted(set(referral_ids))}
    await transaction.connection.execute(_RECORD_PROGRESS, ids | {"progress": int(progress)})
    suppressed = await transaction.connection.execute(_SUPPRESS_SETTLED, ids | {"progress": int(progress)})
    return len(suppressed.all())


async def exclude_parties(transaction: Transaction, case_id: UUID, parties: Sequence[str]) -> int:
    """Excludes parties from a case and suppresses their alerts; returns the number of suppressed alerts."""
    await transaction.connection.execute(_EXCLUDE, [{"case_id": case_id, "party": party} for party in parties])
    suppressed = await transaction.connection.execute(
        _SUPPRESS_EXCLUDED, {"case_id": case_id, "parties": list(parties)}
    )
    return len(suppressed.all())


async def update_pending_alerts(transaction: Transaction, changes: Sequence[tuple[UUID, Urgency, datetime]]) -> None:
    """Gives pending alerts the new urgency and deadline of their referrals."""
    await transaction.connection.execute(
        _UPDATE_PENDING,
        {
            "ids": [referral_id for referral_id, _, _ in changes],
            "urgencies": [urgency.value for _, urgency, _ in changes],
            "deadlines": [deadline for _, _, deadline in changes],
        },
    )


async def measure_backlogs(transaction: Transaction) -> list[Backlog]:
    """Measures number and age of pending alerts, by channel."""
    found = await transaction.connection.execute(_MEASURE_BACKLOGS)
    return [Backlog(row.channel, row.waiting, float(row.oldest), float(row.oldest_urgent)) for row in found]

"""Alerts, the progress of services, and excluded parties."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Double, SmallInteger, Text, Uuid

from simpul_notify.domain.alerts import Alert, AlertState, KnownService, Occasion, Progress, needed_until
from simpul_notify.domain.notifications import MAX_ALERTS, Notification
from simpul_notify.domain.responders import Recipient
from simpul_notify.repository.needs import is_needed
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import AlertChannel, Urgency

_MOMENT = DateTime(timezone=True)
_COLUMNS: Mapping[str, Any] = {
    "alert_id": Uuid,
    "cause": Uuid,
    "referral_id": Uuid,
    "case_id": Uuid,
    "services": Text,
    "step": SmallInteger,
    "clock": Text,
    "agency": Text,
    "party": Text,
    "responder": Text,
    "channel": Text,
    "urgency": Text,
    "deadline": _MOMENT,
    "needed_until": SmallInteger,
    "for_parties": Text,
    "state": Text,
    "reason": Text,
}
_NAMES = ", ".join(_COLUMNS)
_LISTS: Mapping[str, str] = {"services": "uuid[]", "for_parties": "text[]"}
_VALUES = ", ".join(
    f"CAST(string_to_array(a.{name}, ',') AS {_LISTS[name]})" if name in _LISTS else f"a.{name}" for name in _COLUMNS
)

ALERT_COLUMNS = """a.alert_id, a.cause, a.referral_id, a.case_id, a.services, a.responder, a.channel, a.step, a.clock,
    a.agency, a.party, a.for_parties, a.attempts, a.reason, a.urgency, a.deadline"""
"""What `alert_of` reads, apart from `answer_by` and `urgency_now`."""

# Why the alert of row `a` is unnecessary; NULL while it is needed.
_UNNEEDED = f"""CASE
    WHEN EXISTS (SELECT FROM excluded_party e WHERE e.case_id = a.case_id AND e.party = a.party) THEN 'excluded'
    WHEN a.step = {int(Occasion.REVOKED)} AND NOT EXISTS (SELECT FROM alert i WHERE i.case_id = a.case_id
        AND i.responder = a.responder AND i.state = 'sent' AND i.step <> a.step AND i.services && a.services)
        THEN 'not_alerted_before'
    WHEN NOT {is_needed("a")} THEN 'settled' END"""  # noqa: S608 - constants
# Deadlines of one referral that pass within a minute are one message to a responder.
_COVERED = f"""CASE WHEN a.step >= {int(Occasion.REMINDED)} AND EXISTS (SELECT FROM alert o
    WHERE o.case_id = a.case_id AND o.referral_id = a.referral_id AND o.step = a.step AND o.responder = a.responder
    AND o.channel = a.channel AND o.state = 'sent' AND o.settled_at > a.created_at - interval '1 minute')
    THEN 'covered' END"""
# A recipient who was left out, because another party had acknowledged the event, is needed for a further party.
_NEEDED_AGAIN = """alert.state = 'suppressed' AND alert.reason = 'acknowledged' AND excluded.state = 'pending'
    AND NOT alert.for_parties @> excluded.for_parties"""
_UNLEASED = "(a.leased_until IS NULL OR a.leased_until <= now())"
# A message to the recipient of row `a` has left a process and has no result yet.
_IN_FLIGHT = """EXISTS (SELECT FROM alert f WHERE f.responder = a.responder AND f.channel = a.channel
    AND f.state = 'pending' AND f.leased_until > now())"""
_AWAITED = """FROM referral_service r WHERE r.service_id = ANY(a.services) AND r.progress < a.needed_until"""

_ADD = text(f"""
    INSERT INTO alert ({_NAMES}, due_at, attempts, created_at, settled_at)
    -- By the database's clock, because claims compare it with that.
    SELECT {_VALUES}, now() + a.delay * interval '1 second', 0, clock_timestamp(),
        CASE WHEN a.state = 'pending' THEN NULL ELSE now() END
    FROM unnest({", ".join(f":{name}" for name in _COLUMNS)}, :delay) AS a ({_NAMES}, delay)
    ON CONFLICT (cause, responder, channel) DO UPDATE SET
        for_parties = ARRAY(SELECT DISTINCT unnest(alert.for_parties || excluded.for_parties) ORDER BY 1),
        due_at = CASE WHEN {_NEEDED_AGAIN} THEN excluded.due_at WHEN alert.state = 'pending'
            THEN least(alert.due_at, excluded.due_at) ELSE alert.due_at END,
        state = CASE WHEN {_NEEDED_AGAIN} THEN 'pending' ELSE alert.state END,
        reason = CASE WHEN {_NEEDED_AGAIN} THEN NULL ELSE alert.reason END,
        settled_at = CASE WHEN {_NEEDED_AGAIN} THEN NULL ELSE alert.settled_at END
        WHERE alert.state = 'pending' OR NOT alert.for_parties @> excluded.for_parties
""").bindparams(  # noqa: S608 - constants
    *(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()), bindparam("delay", type_=ARRAY(Double))
)
# Two processes that claim for the same recipient at the same moment would not see each other's leases.
_LOCK_RECIPIENTS = text("""
    SELECT w.responder, w.channel FROM unnest(:responders, :channels) AS w (responder, channel)
    WHERE pg_try_advisory_xact_lock(hashtextextended(w.responder || ' ' || w.channel, 0))
""").bindparams(bindparam("responders", type_=ARRAY(Text)), bindparam("channels", type_=ARRAY(Text)))
# Whoever was alerted to something urgent a moment ago gets what follows in one further message.
_CLAIM = text(f"""
    WITH recipient AS MATERIALIZED (
        SELECT w.responder, w.channel, CAST(:pause AS interval) > interval '0' AND EXISTS (
            SELECT FROM notification n JOIN delivery d USING (notification_id)
            JOIN alert u ON u.alert_id = ANY(n.alerts)
            WHERE n.responder = w.responder AND n.channel = w.channel AND n.created_at > now() - interval '1 minute'
                AND d.accepted_at > now() - CAST(:pause AS interval) AND u.urgency = 'high') AS is_paused
        FROM unnest(:responders, :channels) AS w (responder, channel)),
    locked AS (
        SELECT a.*, w.is_paused FROM recipient w CROSS JOIN LATERAL (
            SELECT a.alert_id, a.responder, a.channel, a.due_at, coalesce({_UNNEEDED}, {_COVERED}) AS unneeded
            FROM alert a WHERE a.responder = w.responder AND a.channel = w.channel AND a.state = 'pending'
                AND {_UNLEASED} AND NOT {_IN_FLIGHT}
            ORDER BY a.urgency <> 'high', a.due_at LIMIT {MAX_ALERTS} FOR UPDATE SKIP LOCKED) a),
    judged AS (
        SELECT alert_id, unneeded,
            bool_or(unneeded IS NULL AND due_at <= now() AND NOT is_paused)
                OVER (PARTITION BY responder, channel) AS leaves
        FROM locked)
    UPDATE alert a SET reason = j.unneeded,
        state = CASE WHEN j.unneeded IS NULL THEN 'pending' ELSE 'suppressed' END,
        leased_until = CASE WHEN j.unneeded IS NULL THEN now() + :lease END,
        settled_at = CASE WHEN j.unneeded IS NULL THEN NULL ELSE now() END
    FROM judged j WHERE a.alert_id = j.alert_id AND (j.leaves OR j.unneeded IS NOT NULL)
    RETURNING {ALERT_COLUMNS},
        CASE WHEN a.step <= {int(Occasion.AMENDED)} THEN (SELECT min(r.answer_by) {_AWAITED}) END AS answer_by,
        CASE WHEN a.step <= {int(Occasion.AMENDED)} THEN (SELECT r.urgency {_AWAITED} AND r.urgency IS NOT NULL
            ORDER BY array_position(ARRAY['high', 'medium', 'low'], r.urgency) LIMIT 1) END AS urgency_now
""").bindparams(  # noqa: S608 - constants
    bindparam("responders", type_=ARRAY(Text)), bindparam("channels", type_=ARRAY(Text))
)
_FIND_DUE = text(f"""
    SELECT a.responder, a.channel, bool_or(a.urgency = 'high') AS is_urgent FROM alert a
    WHERE a.state = 'pending' AND a.due_at <= now() AND {_UNLEASED} AND NOT {_IN_FLIGHT}
    GROUP BY a.responder, a.channel
""")  # noqa: S608 - constants
_RECORD_RESULTS = text("""
    UPDATE alert a SET state = s.state, attempts = s.attempts, due_at = s.due_at, reason = s.reason,
        leased_until = NULL, notification_id = s.notification_id,
        postponed_until = coalesce(s.postponed_until, a.postponed_until),
        settled_at = CASE WHEN s.state = 'pending' THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM unnest(:ids, :notification_ids, :states, :attempts, :due, :reasons, :postponed)
        AS s (alert_id, notification_id, state, attempts, due_at, reason, postponed_until)
    -- An attempt may succeed while its alert is being suppressed; then the alert was sent.
    WHERE a.alert_id = s.alert_id AND (a.state = 'pending' OR a.state = 'suppressed' AND s.state = 'sent')
    RETURNING a.alert_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("notification_ids", type_=ARRAY(Uuid)),
    bindparam("states", type_=ARRAY(Text)),
    bindparam("attempts", type_=ARRAY(SmallInteger)),
    bindparam("due", type_=ARRAY(_MOMENT)),
    bindparam("reasons", type_=ARRAY(Text)),
    bindparam("postponed", type_=ARRAY(_MOMENT)),
)
_RELEASE_OTHER_CHANNELS = text("""
    UPDATE alert a SET due_at = now() FROM unnest(:causes, :responders) AS f (cause, responder)
    WHERE a.cause = f.cause AND a.responder = f.responder AND a.state = 'pending' AND a.attempts = 0
        AND a.due_at > now() RETURNING a.responder, a.channel
""").bindparams(bindparam("causes", type_=ARRAY(Uuid)), bindparam("responders", type_=ARRAY(Text)))
_FAIL_UNREADABLE = text("""
    UPDATE alert SET state = 'failed', reason = 'unreadable', settled_at = now()
    WHERE state = 'pending' AND (alert_id = ANY(:ids) OR split_part(channel, '/', 1) <> ALL(:channels))
    RETURNING alert_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("channels", type_=ARRAY(Text)))
_DESCRIBE_SERVICES = text("""
    INSERT INTO referral_service (service_id, urgency, answer_by, progress)
    SELECT DISTINCT ON (service_id) service_id, urgency, answer_by, 0
    FROM unnest(:ids, :urgencies, :deadlines) WITH ORDINALITY AS s (service_id, urgency, answer_by, position)
    ORDER BY service_id, position DESC
    ON CONFLICT (service_id) DO UPDATE SET urgency = excluded.urgency, answer_by = excluded.answer_by
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("urgencies", type_=ARRAY(Text)),
    bindparam("deadlines", type_=ARRAY(_MOMENT)),
)
_FIND_SERVICES = text("""
    SELECT service_id, urgency, answer_by, progress FROM referral_service
    WHERE service_id = ANY(:ids) AND urgency IS NOT NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_RECORD_PROGRESS = text("""
    INSERT INTO referral_service (service_id, progress)
    SELECT DISTINCT r, CAST(:progress AS smallint) FROM unnest(:ids) AS r ON CONFLICT (service_id) DO UPDATE
        SET progress = greatest(referral_service.progress, excluded.progress)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_RECORD_MET = text("""
    INSERT INTO met_deadline (service_id, clock, met_at)
    SELECT d.service_id, d.clock, max(d.met_at) FROM unnest(:ids, :clocks, :moments) AS d (service_id, clock, met_at)
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (service_id, clock) DO UPDATE SET met_at = greatest(met_deadline.met_at, excluded.met_at)
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("clocks", type_=ARRAY(Text)),
    bindparam("moments", type_=ARRAY(_MOMENT)),
)
_SUPPRESS_UNNEEDED = text(f"""
    WITH unneeded AS (
        SELECT a.alert_id, {_UNNEEDED} AS reason FROM alert a
        WHERE a.case_id = ANY(:cases) AND a.state = 'pending' AND a.step <> {int(Occasion.REVOKED)}
        ORDER BY a.alert_id FOR UPDATE)
    UPDATE alert a SET state = 'suppressed', reason = u.reason, settled_at = now()
    FROM unneeded u WHERE a.alert_id = u.alert_id AND u.reason IS NOT NULL RETURNING a.reason
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)))  # noqa: S608 - constants
_FIND_ALERTED = text(f"""
    SELECT w.event_id, a.responder, array_agg(DISTINCT a.channel) AS channels, min(a.party) AS party
    FROM (
        SELECT event_id, case_id, CAST(string_to_array(services, ',') AS uuid[]) AS services
        FROM unnest(:event_ids, :case_ids, :services) AS w (event_id, case_id, services)) w
    JOIN alert a ON a.case_id = w.case_id AND a.services && w.services
    WHERE a.step <> {int(Occasion.REVOKED)} AND (a.state = 'sent' OR a.leased_until > now())
    GROUP BY w.event_id, a.responder
""").bindparams(  # noqa: S608 - constants
    bindparam("event_ids", type_=ARRAY(Uuid)),
    bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("services", type_=ARRAY(Text)),
)
_EXCLUDE = text("""
    INSERT INTO excluded_party (case_id, party)
    SELECT DISTINCT x.case_id, x.party FROM unnest(:cases, :parties) AS x (case_id, party) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)), bindparam("parties", type_=ARRAY(Text)))
_MEASURE_BACKLOGS = text("""
    SELECT split_part(channel, '/', 1) AS channel, count(*) AS waiting,
        extract(epoch FROM now() - min(created_at)) AS oldest,
        coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE urgency = 'high')), 0) AS oldest_urgent
    FROM alert WHERE state = 'pending' GROUP BY 1
""")


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """An alert's state after an attempt to send its message, the reason, and when a pending alert is due again."""

    alert: Alert
    notification_id: UUID
    state: AlertState
    due_at: datetime
    reason: str | None = None
    postponed_until: datetime | None = None
    """When the responder may be contacted, if the contact rules withheld it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was found for recipients: messages to send, reasons of suppressed alerts, and ids of unreadable rows."""

    notifications: Mapping[Recipient, Notification]
    suppressed: Mapping[UUID, str]
    unreadable: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class DueRecipient:
    """A recipient for whom something is due."""

    recipient: Recipient
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class AlertedResponder:
    """A responder who was alerted about services, or is being alerted now, and by which contact methods."""

    party: str
    recipients: frozenset[Recipient]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Pending alerts of a channel; ages in seconds."""

    channel: str
    count: int
    oldest: float
    oldest_urgent: float


async def add_alerts(transaction: Transaction, alerts: Sequence[tuple[Alert, timedelta]], *, failure: str = "") -> None:
    """Stores alerts with the delay after which each is due; with `failure`, as failed for that reason.

    A recipient is alerted once about each event; a repetition makes a pending alert due earlier, and a further party
    that the recipient is alerted for is noted.
    """
    state = AlertState.FAILED if failure else AlertState.PENDING
    rows = [(*_row_of(alert), state.value, failure or None) for alert, _ in alerts]
    values = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    delays = [delay.total_seconds() for _, delay in alerts]
    await transaction.connection.execute(_ADD, values | {"delay": delays})


def _row_of(alert: Alert) -> tuple[Any, ...]:
    return (
        alert.alert_id,
        alert.cause,
        alert.referral_id,
        alert.case_id,
        ",".join(map(str, alert.services)),
        int(alert.occasion),
        alert.clock,
        alert.agency,
        alert.party,
        alert.responder,
        alert.recipient.method,
        alert.urgency.value,
        alert.deadline,
        int(needed_until(alert.clock)),
        ",".join(sorted(alert.for_parties)),
    )


async def find_due_recipients(transaction: Transaction) -> list[DueRecipient]:
    """Finds the recipients for whom something is due; skips contact methods that this version does not know."""
    found = []
    for row in await transaction.connection.execute(_FIND_DUE):
        with suppress(ValueError):
            found.append(DueRecipient(Recipient.by_method(row.responder, row.channel), row.is_urgent))
    return found


async def claim_notifications(
    transaction: Transaction, recipients: Sequence[Recipient], lease: timedelta, pause: timedelta = timedelta()
) -> Claimed:
    """Reads the state again: suppresses what is unnecessary, and leases the rest as one message for each recipient.

    Once one alert of a recipient is due, everything that waits for the same recipient goes with it. A recipient to whom
    another process is sending gets the next message when the result of that one is known, and no earlier than `pause`
    after an urgent message.
    """
    found: dict[Recipient, list[Alert]] = {}
    suppressed, unreadable = {}, []
    wanted = {
        "responders": [recipient.responder for recipient in recipients],
        "channels": [recipient.method for recipient in recipients],
    }
    free = (await transaction.connection.execute(_LOCK_RECIPIENTS, wanted)).all()
    wanted = {"responders": [row.responder for row in free], "channels": [row.channel for row in free]}
    # A statement of its own, so that it sees what those have stored who held the locks before.
    rows = await transaction.connection.execute(_CLAIM, {**wanted, "lease": lease, "pause": pause})
    for row in rows:
        if row.reason is not None:
            suppressed[row.alert_id] = row.reason
            continue
        try:
            alert = alert_of(row)
        except ValueError:
            unreadable.append(row.alert_id)
        else:
            found.setdefault(alert.recipient, []).append(alert)
    notifications = {recipient: Notification(uuid4(), recipient, tuple(alerts)) for recipient, alerts in found.items()}
    return Claimed(notifications, suppressed, unreadable)


def alert_of(row: Any) -> Alert:
    """Reads a row of `alert`; raises ValueError for a value of another version."""
    recipient = Recipient.by_method(row.responder, row.channel)
    return Alert(
        row.alert_id,
        row.cause,
        row.referral_id,
        row.case_id,
        tuple(row.services),
        recipient.responder,
        recipient.channel,
        Urgency(row.urgency_now or row.urgency),
        row.answer_by or row.deadline,
        Occasion(row.step),
        row.clock,
        row.agency,
        row.party,
        row.attempts,
        frozenset(row.for_parties),
        recipient.position,
    )


async def record_results(transaction: Transaction, results: Sequence[AttemptResult]) -> set[UUID]:
    """Stores the results of attempts; returns the ids of alerts that changed."""
    # In one order everywhere, so that two transactions do not wait for each other.
    results = sorted(results, key=lambda result: result.alert.alert_id)
    changed = await transaction.connection.execute(
        _RECORD_RESULTS,
        {
            "ids": [result.alert.alert_id for result in results],
            "notification_ids": [result.notification_id for result in results],
            "states": [result.state.value for result in results],
            "attempts": [result.alert.attempts for result in results],
            "due": [result.due_at for result in results],
            "reasons": [result.reason for result in results],
            "postponed": [result.postponed_until for result in results],
            "now": transaction.now,
        },
    )
    return set(changed.scalars())


async def release_other_channels(transaction: Transaction, deferred: Sequence[Alert]) -> set[Recipient]:
    """Makes the same alerts by other channels due now, because this channel failed; returns their recipients."""
    released = await transaction.connection.execute(
        _RELEASE_OTHER_CHANNELS,
        {"causes": [alert.cause for alert in deferred], "responders": [alert.responder for alert in deferred]},
    )
    return {Recipient.by_method(row.responder, row.channel) for row in released}


async def fail_unreadable_alerts(
    transaction: Transaction, alert_ids: Iterable[UUID], channels: Iterable[AlertChannel]
) -> list[UUID]:
    """Marks these alerts as failed, and those of channels that this version does not know."""
    failed = await transaction.connection.execute(
        _FAIL_UNREADABLE, {"ids": list(alert_ids), "channels": [channel.value for channel in channels]}
    )
    return list(failed.scalars())


async def describe_services(transaction: Transaction, services: Sequence[KnownService]) -> None:
    """Records urgency and deadline of services; their progress stays."""
    await transaction.connection.execute(
        _DESCRIBE_SERVICES,
        {
            "ids": [service.service_id for service in services],
            "urgencies": [service.urgency.value for service in services],
            "deadlines": [service.answer_by for service in services],
        },
    )


async def find_services(transaction: Transaction, service_ids: Sequence[UUID]) -> dict[UUID, KnownService]:
    """Returns the services that an offer or amendment has described."""
    found = await transaction.connection.execute(_FIND_SERVICES, {"ids": list(service_ids)})
    return {
        row.service_id: KnownService(row.service_id, Urgency(row.urgency), row.answer_by, Progress(row.progress))
        for row in found
    }


async def record_progress(
    transaction: Transaction, case_ids: Sequence[UUID], service_ids: Sequence[UUID], progress: Progress
) -> int:
    """Records progress of services and suppresses alerts that need none of theirs any more; returns their number."""
    await transaction.connection.execute(_RECORD_PROGRESS, {"ids": sorted(set(service_ids)), "progress": int(progress)})
    suppressed = await transaction.connection.execute(_SUPPRESS_UNNEEDED, {"cases": sorted(set(case_ids))})
    return len(suppressed.all())


async def record_met_deadlines(
    transaction: Transaction, case_ids: Sequence[UUID], met: Sequence[tuple[UUID, str, datetime]]
) -> int:
    """Records services whose deadline was met, with its clock and when; suppresses alerts and returns their number."""
    ids, clocks, moments = map(list, zip(*met, strict=True))
    await transaction.connection.execute(_RECORD_MET, {"ids": ids, "clocks": clocks, "moments": moments})
    suppressed = await transaction.connection.execute(_SUPPRESS_UNNEEDED, {"cases": sorted(set(case_ids))})
    return len(suppressed.all())


async def find_alerted_responders(
    transaction: Transaction, revoked: Sequence[tuple[UUID, UUID, Sequence[UUID]]]
) -> dict[UUID, list[AlertedResponder]]:
    """Finds who was alerted about services, or is being alerted now.

    `revoked` are ids of events, each with its case and services; the result has the responders of each event.
    """
    found = await transaction.connection.execute(
        _FIND_ALERTED,
        {
            "event_ids": [event_id for event_id, _, _ in revoked],
            "case_ids": [case_id for _, case_id, _ in revoked],
            "services": [",".join(map(str, services)) for _, _, services in revoked],
        },
    )
    alerted: dict[UUID, list[AlertedResponder]] = {event_id: [] for event_id, _, _ in revoked}
    for row in found:
        recipients = frozenset(Recipient.by_method(row.responder, method) for method in row.channels)
        alerted[row.event_id].append(AlertedResponder(row.party, recipients))
    return alerted


async def exclude_parties(transaction: Transaction, excluded: Sequence[tuple[UUID, str]]) -> int:
    """Excludes parties from cases and suppresses their alerts; returns the number of suppressed alerts."""
    cases = [case_id for case_id, _ in excluded]
    await transaction.connection.execute(_EXCLUDE, {"cases": cases, "parties": [party for _, party in excluded]})
    suppressed = await transaction.connection.execute(_SUPPRESS_UNNEEDED, {"cases": sorted(set(cases))})
    return sum(reason == "excluded" for reason in suppressed.scalars())


async def measure_backlogs(transaction: Transaction) -> list[Backlog]:
    """Measures number and age of pending alerts, by channel."""
    found = await transaction.connection.execute(_MEASURE_BACKLOGS)
    return [Backlog(row.channel, row.waiting, float(row.oldest), float(row.oldest_urgent)) for row in found]

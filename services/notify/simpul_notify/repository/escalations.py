"""Escalations: opened with their event, found by the time of their next step, ended with what they are about."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Boolean, DateTime, Double, SmallInteger, Text, Uuid

from simpul_notify.domain.alerts import PARKED_CLOCK, AlertState, Occasion, needed_until
from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.escalation import Delivery, Escalation, EscalationState, TriedMethod
from simpul_notify.domain.responders import Recipient
from simpul_notify.repository.needs import is_needed
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import AlertChannel, Urgency

_MOMENT = DateTime(timezone=True)
_COLUMNS: Final[Mapping[str, Any]] = {
    "escalation_id": Uuid,
    "cause": Uuid,
    "party": Text,
    "referral_id": Uuid,
    "case_id": Uuid,
    "services": Text,
    "occasion": SmallInteger,
    "step": SmallInteger,
    "clock": Text,
    "agency": Text,
    "urgency": Text,
    "deadline": _MOMENT,
    "needed_until": SmallInteger,
    "event_at": _MOMENT,
}
_NAMES = ", ".join(_COLUMNS)
_VALUES = ", ".join(
    f"CAST(string_to_array(e.{name}, ',') AS uuid[])" if name == "services" else f"e.{name}" for name in _COLUMNS
)
_CALLING: Final = [answer.value for answer in Answer if not answer.stops_others]
"""Answers that call for somebody else."""
_IS_NEEDED: Final = is_needed("e")

_OPEN = text(f"""
    INSERT INTO escalation ({_NAMES}, state, opened_at, waiting_since, due_at)
    -- By the database's clock, as in alerts.
    SELECT {_VALUES}, 'open', now(), now(), now() + e.delay * interval '1 second'
    FROM unnest({", ".join(f":{name}" for name in _COLUMNS)}, :delay) AS e ({_NAMES}, delay)
    ON CONFLICT (cause, party) DO NOTHING
""").bindparams(  # noqa: S608 - constants
    *(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()), bindparam("delay", type_=ARRAY(Double))
)
_CLAIM_DUE = text(f"""
    SELECT {", ".join(f"e.{name}" for name in _COLUMNS)}, e.due_at, e.waiting_since, now() AS now,
        e.exhausted_at IS NOT NULL AS is_announced,
        {_IS_NEEDED} AS is_needed,
        ARRAY(SELECT x.party FROM excluded_party x WHERE x.case_id = e.case_id) AS excluded
    FROM escalation e WHERE e.state = 'open' AND e.due_at <= now()
    ORDER BY e.due_at LIMIT :limit FOR UPDATE OF e SKIP LOCKED
""")  # noqa: S608 - constants
_FIND_ATTEMPTS = text(f"""
    SELECT a.cause, a.responder, a.channel, a.state, a.reason, a.for_parties || a.party AS parties,
        greatest(a.created_at, a.postponed_until) AS began_at,
        coalesce(a.postponed_until > now(), false) AS is_postponed,
        coalesce(n.answer = ANY(:calling), false) AS calls_others,
        coalesce(n.answer = '{Answer.ON_IT.value}', false) AS is_acknowledged,
        (SELECT max(d.state) FROM delivery d WHERE d.notification_id = a.notification_id) AS delivery
    FROM alert a LEFT JOIN notification n ON n.notification_id = a.notification_id
    WHERE a.cause = ANY(:causes) AND a.responder <> '' AND split_part(a.channel, '/', 1) = ANY(:channels)
""").bindparams(  # noqa: S608 - constants
    bindparam("causes", type_=ARRAY(Uuid)),
    bindparam("channels", type_=ARRAY(Text)),
    bindparam("calling", type_=ARRAY(Text)),
)
_SAVE = text("""
    UPDATE escalation e SET state = s.state, due_at = s.due_at, waiting_since = s.waiting_since,
        ended_at = CASE WHEN s.state = 'open' THEN NULL ELSE now() END,
        alerted_at = coalesce(e.alerted_at, CASE WHEN s.is_alerted THEN now() END),
        exhausted_at = coalesce(e.exhausted_at, CASE WHEN s.is_exhausted THEN now() END)
    FROM unnest(:ids, :states, :due, :since, :alerted, :exhausted)
        AS s (escalation_id, state, due_at, waiting_since, is_alerted, is_exhausted)
    WHERE e.escalation_id = s.escalation_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("states", type_=ARRAY(Text)),
    bindparam("due", type_=ARRAY(_MOMENT)),
    bindparam("since", type_=ARRAY(_MOMENT)),
    bindparam("alerted", type_=ARRAY(Boolean)),
    bindparam("exhausted", type_=ARRAY(Boolean)),
)
_CLAIM_UNANSWERED = text(f"""
    WITH unanswered AS (
        SELECT e.escalation_id, {_IS_NEEDED} AND NOT EXISTS (
                SELECT FROM excluded_party x WHERE x.case_id = e.case_id AND x.party = e.party)
            -- No event ends this kind, so it is over when anybody, of any party, has taken care of it.
            AND NOT (e.clock = '{PARKED_CLOCK}' AND EXISTS (
                SELECT FROM alert k WHERE k.case_id = e.case_id AND k.acknowledged_at IS NOT NULL)) AS is_needed
        FROM escalation e
        WHERE e.step = {int(Occasion.ESCALATED)} AND e.state <> 'open' AND e.repeated_at IS NULL
            AND e.ended_at < now() - CASE e.urgency WHEN 'high' THEN CAST(:urgent AS interval)
                ELSE CAST(:other AS interval) END
        ORDER BY e.ended_at LIMIT :limit FOR UPDATE OF e SKIP LOCKED)
    UPDATE escalation e SET repeated_at = now() FROM unanswered u WHERE e.escalation_id = u.escalation_id
    RETURNING {", ".join(f"e.{name}" for name in _COLUMNS)}, u.is_needed
""")  # noqa: S608 - constants
_CLOSE_UNREADABLE = text("UPDATE escalation SET due_at = NULL WHERE escalation_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
# Rows are locked in one order everywhere, so that two transactions do not wait for each other.
_END_UNNEEDED = text(f"""
    WITH unneeded AS (
        SELECT e.escalation_id FROM escalation e
        WHERE e.case_id = ANY(:cases) AND e.state = 'open' AND NOT {_IS_NEEDED} ORDER BY e.escalation_id FOR UPDATE)
    UPDATE escalation e SET state = 'ended', due_at = NULL, ended_at = now()
    FROM unneeded u WHERE e.escalation_id = u.escalation_id
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)))  # noqa: S608 - constants
# An alert is about the escalations that it belongs to, and about that of the responder's own party.
_IS_ABOUT = "{alert}.cause = e.cause AND e.party = ANY({alert}.for_parties || {alert}.party)"
_ANSWERED = f"""answered AS (
        SELECT e.escalation_id, e.cause FROM notification n JOIN alert i ON i.alert_id = ANY(n.alerts)
        JOIN escalation e ON {_IS_ABOUT.format(alert="i")} WHERE n.notification_id = :id)"""  # noqa: S608 - constants
_END_ACKNOWLEDGED = text(f"""
    WITH {_ANSWERED}, ending AS (
        SELECT e.escalation_id FROM escalation e
        WHERE e.escalation_id IN (SELECT escalation_id FROM answered) AND e.state <> 'ended'
        ORDER BY e.escalation_id FOR UPDATE)
    UPDATE escalation e SET state = 'ended', due_at = NULL, ended_at = now()
    FROM ending g WHERE e.escalation_id = g.escalation_id
""")  # noqa: S608 - constants
_SUPPRESS_ACKNOWLEDGED = text(f"""
    WITH {_ANSWERED}, waiting AS (
        SELECT a.alert_id FROM alert a
        WHERE a.cause IN (SELECT cause FROM answered) AND a.state = 'pending'
            AND NOT EXISTS (SELECT FROM escalation e WHERE {_IS_ABOUT.format(alert="a")} AND e.state <> 'ended'
                AND e.escalation_id NOT IN (SELECT escalation_id FROM answered))
        ORDER BY a.alert_id FOR UPDATE)
    UPDATE alert a SET state = 'suppressed', reason = 'acknowledged', settled_at = now()
    FROM waiting w WHERE a.alert_id = w.alert_id RETURNING a.alert_id
""")  # noqa: S608 - constants
_FIND_ENDED = text(f"""
    SELECT a.alert_id FROM alert a
    WHERE a.alert_id = ANY(:ids) AND EXISTS (SELECT FROM escalation e WHERE {_IS_ABOUT.format(alert="a")})
        AND NOT EXISTS (SELECT FROM escalation e WHERE {_IS_ABOUT.format(alert="a")} AND e.state <> 'ended')
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - constants
_HURRY = text("""
    WITH hurried AS (
        SELECT e.escalation_id FROM escalation e
        WHERE e.cause = ANY(:causes) AND e.state = 'open' ORDER BY e.escalation_id FOR UPDATE)
    UPDATE escalation e SET due_at = least(e.due_at, now())
    FROM hurried h WHERE e.escalation_id = h.escalation_id RETURNING e.cause
""").bindparams(bindparam("causes", type_=ARRAY(Uuid)))
_REOPEN = text(f"""
    WITH {_ANSWERED}, called AS (
        SELECT e.escalation_id FROM escalation e
        WHERE e.escalation_id IN (SELECT escalation_id FROM answered) AND e.state <> 'exhausted'
        ORDER BY e.escalation_id FOR UPDATE)
    UPDATE escalation e SET state = 'open', due_at = now(), ended_at = NULL
    FROM called c WHERE e.escalation_id = c.escalation_id
""")  # noqa: S608 - constants
_RECORD_ALERTED = text(f"""
    WITH alerted AS (
        SELECT e.escalation_id FROM escalation e
        WHERE e.alerted_at IS NULL
            AND EXISTS (SELECT FROM alert a WHERE a.alert_id = ANY(:ids) AND {_IS_ABOUT.format(alert="a")})
            AND e.cause = ANY(:causes) ORDER BY e.escalation_id FOR UPDATE)
    UPDATE escalation e SET alerted_at = :now FROM alerted t WHERE e.escalation_id = t.escalation_id
""").bindparams(  # noqa: S608 - constants
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("causes", type_=ARRAY(Uuid)), bindparam("now", type_=_MOMENT)
)


COUNT_MISSED = text("""
    SELECT count(*) FILTER (WHERE e.state = 'open' AND e.due_at < now() - interval '2 minutes') AS late,
        count(*) FILTER (WHERE e.alerted_at IS NULL AND e.opened_at < now() - CASE e.urgency
            -- What is not urgent waits for safe hours.
            WHEN 'high' THEN interval '5 minutes' ELSE interval '24 hours' END) AS unalerted
    FROM escalation e
    -- Both conditions are those of an index.
    WHERE e.state = 'open' AND e.due_at < now() - interval '2 minutes'
        OR e.alerted_at IS NULL AND e.state <> 'ended' AND e.opened_at < now() - interval '5 minutes'
""")


@dataclass(frozen=True, slots=True)
class MissedEscalations:
    """Numbers of escalations whose step was not taken, and of those that have alerted nobody."""

    late: int
    unalerted: int


@dataclass(frozen=True, slots=True)
class DueEscalation:
    """An escalation whose next step is due, and what is known about it."""

    escalation: Escalation
    tried: tuple[TriedMethod, ...]
    excluded: frozenset[str]
    is_needed: bool
    due_at: datetime
    waiting_since: datetime
    is_announced: bool
    """Whether `alert.exhausted.v1` was published before."""
    now: datetime


@dataclass(frozen=True, slots=True)
class EscalationResult:
    """What a step changes of an escalation."""

    escalation_id: UUID
    state: EscalationState
    waiting_since: datetime
    due_at: datetime | None = None
    is_alerted: bool = False
    """Whether somebody was alerted for it, also by an alert that belonged to another party before."""
    is_exhausted: bool = False
    """Whether it is published that nobody could be reached."""


async def open_escalations(transaction: Transaction, opened: Sequence[tuple[Escalation, timedelta]]) -> None:
    """Stores escalations with the time after which their next step is due; one for each event and party."""
    rows = [_row_of(escalation) for escalation, _ in opened]
    values = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    await transaction.connection.execute(_OPEN, values | {"delay": [delay.total_seconds() for _, delay in opened]})


def _row_of(one: Escalation) -> tuple[Any, ...]:
    return (
        one.escalation_id,
        one.cause,
        one.party,
        one.referral_id,
        one.case_id,
        ",".join(map(str, one.services)),
        int(one.occasion),
        one.step,
        one.clock,
        one.agency,
        one.urgency.value,
        one.deadline,
        int(needed_until(one.clock)),
        one.event_at,
    )


async def claim_due_escalations(transaction: Transaction, limit: int) -> tuple[list[DueEscalation], list[UUID]]:
    """Locks escalations with a due step that no other process has locked; also returns the ids of unreadable rows."""
    rows = (await transaction.connection.execute(_CLAIM_DUE, {"limit": limit})).all()
    attempts: dict[UUID, list[tuple[list[str], TriedMethod]]] = {row.cause: [] for row in rows}
    if rows:
        found = await transaction.connection.execute(
            _FIND_ATTEMPTS,
            {"causes": list(attempts), "channels": [channel.value for channel in AlertChannel], "calling": _CALLING},
        )
        for row in found:
            tried = TriedMethod(
                Recipient.by_method(row.responder, row.channel),
                row.began_at,
                _delivery_of(row),
                row.calls_others,
                row.is_acknowledged,
            )
            attempts[row.cause].append((row.parties, tried))
    due: list[DueEscalation] = []
    unreadable: list[UUID] = []
    for row in rows:
        try:
            escalation = _escalation_of(row)
        except ValueError:
            unreadable.append(row.escalation_id)
        else:
            own = tuple(tried for parties, tried in attempts[row.cause] if escalation.party in parties)
            due.append(
                DueEscalation(
                    escalation,
                    own,
                    frozenset(row.excluded),
                    row.is_needed,
                    row.due_at,
                    row.waiting_since,
                    row.is_announced,
                    row.now,
                )
            )
    return due, unreadable


def _escalation_of(row: Any) -> Escalation:
    return Escalation(
        row.escalation_id,
        row.cause,
        row.party,
        row.referral_id,
        row.case_id,
        tuple(row.services),
        row.agency,
        Urgency(row.urgency),
        row.deadline,
        Occasion(row.occasion),
        row.clock,
        row.step,
        row.event_at,
    )


def _delivery_of(row: Any) -> Delivery:
    match AlertState(row.state):
        case AlertState.PENDING:
            return Delivery.POSTPONED if row.is_postponed else Delivery.WAITING
        case AlertState.SENT:
            return Delivery.ON_HANDSET if (row.delivery or 0) >= DeliveryState.ON_HANDSET else Delivery.ACCEPTED
        case AlertState.FAILED:
            return Delivery.FAILED
        case AlertState.SUPPRESSED:
            # What another message covers was sent with that.
            return Delivery.ACCEPTED if row.reason == "covered" else Delivery.FAILED


async def claim_unanswered(
    transaction: Transaction, urgent_after: timedelta, after: timedelta, limit: int
) -> tuple[int, list[Escalation]]:
    """Returns how many escalations at twice their deadline ended this long ago, and those of them still unanswered.

    Each is returned once. Rows of a later version are left out.
    """
    rows = (
        await transaction.connection.execute(
            _CLAIM_UNANSWERED, {"urgent": urgent_after, "other": after, "limit": limit}
        )
    ).all()
    found = []
    for row in rows:
        if row.is_needed:
            with suppress(ValueError):
                found.append(_escalation_of(row))
    return len(rows), found


async def close_unreadable_escalations(transaction: Transaction, ids: Sequence[UUID]) -> None:
    """Takes no more steps of these: a later version has written what this one does not know."""
    await transaction.connection.execute(_CLOSE_UNREADABLE, {"ids": list(ids)})


async def save_escalations(transaction: Transaction, results: Sequence[EscalationResult]) -> None:
    """Stores the results of steps."""
    await transaction.connection.execute(
        _SAVE,
        {
            "ids": [result.escalation_id for result in results],
            "states": [result.state.value for result in results],
            "due": [result.due_at for result in results],
            "since": [result.waiting_since for result in results],
            "alerted": [result.is_alerted for result in results],
            "exhausted": [result.is_exhausted for result in results],
        },
    )


async def end_unneeded_escalations(transaction: Transaction, case_ids: Sequence[UUID]) -> None:
    """Ends the escalations of cases that none of their services needs any more."""
    await transaction.connection.execute(_END_UNNEEDED, {"cases": sorted(set(case_ids))})


async def end_acknowledged_escalations(transaction: Transaction, notification_id: UUID) -> int:
    """Ends the escalations that an acknowledged message is about; returns the number of suppressed alerts.

    The escalations of other parties of the same event continue.
    """
    values = {"id": notification_id}
    suppressed = await transaction.connection.execute(_SUPPRESS_ACKNOWLEDGED, values)
    await transaction.connection.execute(_END_ACKNOWLEDGED, values)
    return len(suppressed.all())


async def find_ended(transaction: Transaction, alert_ids: Sequence[UUID]) -> set[UUID]:
    """Finds those of these alerts whose escalations have all ended: acknowledged, or not needed any more."""
    return set((await transaction.connection.execute(_FIND_ENDED, {"ids": sorted(alert_ids)})).scalars())


async def hurry_escalations(transaction: Transaction, causes: Sequence[UUID]) -> set[UUID]:
    """Makes the next step of the escalations of these events due now; returns the events that have one."""
    hurried = await transaction.connection.execute(_HURRY, {"causes": sorted(set(causes))})
    return set(hurried.scalars())


async def call_others(transaction: Transaction, notification_id: UUID) -> None:
    """Makes the next step of a message's escalations due now, also where somebody had acknowledged them.

    Those of other parties continue as before. What nobody needs any more ends again at that step.
    """
    await transaction.connection.execute(_REOPEN, {"id": notification_id})


async def record_alerted(transaction: Transaction, sent: Mapping[UUID, UUID]) -> None:
    """Records that a person was alerted; `sent` maps the ids of sent alerts to those of their events."""
    values = {"ids": sorted(sent), "causes": sorted(set(sent.values())), "now": transaction.now}
    await transaction.connection.execute(_RECORD_ALERTED, values)


async def count_missed_escalations(transaction: Transaction) -> MissedEscalations:
    """Counts the escalations that are past their step, and those that should have alerted a person and have not."""
    row = (await transaction.connection.execute(COUNT_MISSED)).one()
    return MissedEscalations(row.late, row.unalerted)

"""The inbox: stores each event of the city once and returns them in the order of their stream."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)

from simpul_agency.drivers import Tables
from simpul_agency.records import (
    DueEvent,
    HandlerResult,
    IncomingEvent,
    InvalidMessage,
    ReferralStream,
    StreamGap,
    TypedBody,
)
from simpul_agency.store.dossiers import RELEASED
from simpul_agency.store.outbox import find_replies
from simpul_agency.store.tables import INBOX, InboxState, among, as_values, insert_unless_known, is_pending
from simpul_schema.vocabulary import ParkReason

REQUESTING: Final = ("referral.offered.v1", "referral.amended.v1")
"""The events that ask for services."""

_ONE: Final[ColumnElement[int]] = literal_column("1")
_EARLIER: Final = INBOX.alias("earlier")
_is_usable: Final = INBOX.c.state != literal_column(f"'{InboxState.PARKED.value}'")
_precedes: Final = (
    (_EARLIER.c.subject == INBOX.c.subject)
    & (_EARLIER.c.source == INBOX.c.source)
    & (_EARLIER.c.sequence == INBOX.c.sequence - _ONE)
)
_is_this: Final = (INBOX.c.source == bindparam("of_source")) & (INBOX.c.event_id == bindparam("of_event"))
_limit: Final = bindparam("limit", type_=Integer)

_ADD: Final = insert_unless_known(INBOX)
_DUE: Final = (
    select(INBOX.c.source, INBOX.c.event_id, INBOX.c.subject, INBOX.c.type, INBOX.c.body, INBOX.c.attempts)
    .where(
        is_pending(INBOX),
        INBOX.c.due_at <= bindparam("now", type_=Double),
        or_(
            INBOX.c.sequence == _ONE,
            INBOX.c.received_at <= bindparam("waited_since", type_=Double),
            exists().where(_precedes, not_(is_pending(_EARLIER))),
        ),
    )
    .order_by(INBOX.c.due_at, INBOX.c.sequence)
    .limit(_limit)
)
_PENDING: Final = select(func.count(), func.coalesce(func.min(INBOX.c.due_at), literal_column("0"))).where(
    is_pending(INBOX)
)
_BEFORE_GAP: Final = (
    select(_EARLIER.c.body)
    .where(
        _EARLIER.c.subject == INBOX.c.subject,
        _EARLIER.c.source == INBOX.c.source,
        _EARLIER.c.sequence < INBOX.c.sequence,
    )
    .order_by(_EARLIER.c.sequence.desc())
    .limit(_ONE)
    .scalar_subquery()
)
_GAPS: Final = select(INBOX.c.subject, INBOX.c.sequence, INBOX.c.body, _BEFORE_GAP, INBOX.c.received_at).where(
    is_pending(INBOX), INBOX.c.sequence > _ONE, not_(exists().where(_precedes))
)
_MARK_DONE: Final = update(INBOX).where(_is_this).values(state=InboxState.DONE.value, reason=literal_column("''"))
_RETRY: Final = (
    update(INBOX)
    .where(_is_this)
    .values(
        state=InboxState.RETRYING.value,
        attempts=INBOX.c.attempts + _ONE,
        due_at=bindparam("retry_at"),
        reason=bindparam("error"),
    )
)
_DELETE_PARKED: Final = delete(INBOX).where(INBOX.c.event_id == bindparam("name"), not_(_is_usable))
_NEWEST: Final = (
    select(INBOX.c.subject, INBOX.c.received_at)
    .where(INBOX.c.type == bindparam("of_type"), _is_usable)
    .order_by(INBOX.c.received_at.desc())
    .limit(_limit)
)

_COUNT_STREAMS: Final = select(func.count(INBOX.c.subject.distinct())).where(
    among(INBOX.c.type, len(REQUESTING)), _is_usable
)


@cache
def _known(count: int) -> Select[tuple[str, str, str]]:
    return select(INBOX.c.source, INBOX.c.event_id, INBOX.c.digest).where(among(INBOX.c.event_id, count))


@cache
def _streams(count: int) -> Select[tuple[str, bytes, str]]:
    return (
        select(INBOX.c.type, INBOX.c.body, INBOX.c.subject)
        .where(among(INBOX.c.subject, count), _is_usable)
        .order_by(INBOX.c.sequence)
    )


async def add_events(
    tables: Tables, events: Sequence[IncomingEvent], now: float
) -> tuple[list[IncomingEvent], list[InvalidMessage]]:
    """Stores the new events; returns them, and those that differ from a known event with the same id."""
    if not events:
        return [], []
    values = as_values(event.event_id for event in events)
    rows = await tables.fetch(_known(len(values)), **values)
    new, altered = _separate_altered(events, {(source, event_id): digest for source, event_id, digest in rows})
    await tables.write(_ADD, [_row(event, now) for event in new])
    return new, altered


async def delete_parked_event(tables: Tables, name: str) -> None:
    """Deletes a parked event that is being replayed."""
    await tables.write(_DELETE_PARKED, [{"name": name}])


async def find_due(tables: Tables, *, now: float, waited_since: float, limit: int) -> tuple[list[DueEvent], int, float]:
    """Returns the due events, the number of pending events, and the earliest time at which one is due.

    An event is due once its predecessor was handled, or when it has waited for it since `waited_since`.
    """
    due = [DueEvent(*row) for row in await tables.fetch(_DUE, now=now, waited_since=waited_since, limit=limit)]
    [[count, next_at]] = await tables.fetch(_PENDING)
    return due, count, next_at


async def find_gaps(tables: Tables, until: float) -> tuple[list[StreamGap], bool]:
    """Returns the gaps that have lasted since before `until`, and whether there are newer ones."""
    rows = await tables.fetch(_GAPS)
    old = [row for row in rows if row[4] <= until]
    return [StreamGap(*row[:4]) for row in old], len(old) < len(rows)


async def record_results(tables: Tables, results: Iterable[HandlerResult]) -> None:
    """Marks events as done, or schedules the next call of their handlers."""
    done, retries = [], []
    for result in results:
        key = {"of_source": result.source, "of_event": result.event_id}
        if result.retry_at is None:
            done.append(key)
        else:
            retries.append({**key, "retry_at": result.retry_at, "error": result.reason})
    await tables.write(_MARK_DONE, done)
    await tables.write(_RETRY, retries)


async def find_streams(tables: Tables, limit: int, subject: str) -> list[ReferralStream]:
    """Returns the referrals that were offered or amended last, or the one with this subject, with their replies."""
    subjects = [subject] if subject else await _find_newest_subjects(tables, limit)
    events = await _find_events(tables, subjects)
    replies = await find_replies(tables, subjects)
    refusals = await _find_events(tables, [f"reply/{reply_id}" for given in replies.values() for reply_id in given])
    dossiers = await _find_events(tables, [_dossier_of(one) for one in subjects])
    return [
        ReferralStream(
            tuple(events[one]),
            tuple(replies[one].values()),
            tuple(body for reply_id in replies[one] for _, body in refusals[f"reply/{reply_id}"]),
            tuple(body for name, body in dossiers[_dossier_of(one)] if name == RELEASED),
        )
        for one in subjects
        if any(name in REQUESTING for name, _ in events[one])
    ]


def _dossier_of(subject: str) -> str:
    """Returns the subject of the dossier of a referral."""
    return f"dossier/{subject.partition('/')[2]}"


async def count_streams(tables: Tables) -> int:
    """Returns how many referrals were offered to this agency."""
    [(count,)] = await tables.fetch(_COUNT_STREAMS, **as_values(REQUESTING))
    return int(count)


async def _find_newest_subjects(tables: Tables, limit: int) -> list[str]:
    """Returns the streams in which services were asked for last, the newest first."""
    newest: dict[str, float] = {}
    for wire_name in REQUESTING:
        for subject, received_at in await _find_newest(tables, wire_name, limit):
            newest[subject] = max(received_at, newest.get(subject, 0.0))
    return sorted(newest, key=lambda subject: -newest[subject])[:limit]


async def _find_newest(tables: Tables, wire_name: str, limit: int) -> list[tuple[str, float]]:
    """Returns the newest events of a type, of as many streams as the limit says if there are so many."""
    count = limit
    while True:
        rows = await tables.fetch(_NEWEST, of_type=wire_name, limit=count)
        if len(rows) < count or len({subject for subject, _ in rows}) >= limit:
            return [(subject, received_at) for subject, received_at in rows]
        count *= 4


async def _find_events(tables: Tables, subjects: Sequence[str]) -> dict[str, list[TypedBody]]:
    """Returns the usable events of each of these streams, by their sequence."""
    events: dict[str, list[TypedBody]] = {subject: [] for subject in subjects}
    if subjects:
        values = as_values(subjects)
        for name, body, of in await tables.fetch(_streams(len(values)), **values):
            events[of].append((name, body))
    return events


def _row(event: IncomingEvent, now: float) -> dict[str, Any]:
    return {
        "source": event.source,
        "event_id": event.event_id,
        "subject": event.subject,
        "sequence": event.sequence,
        "type": event.type,
        "digest": event.digest,
        "body": event.body,
        "state": _first_state(event).value,
        "reason": event.park_reason,
        "attempts": 0,
        "received_at": now,
        "due_at": now,
        "signature": event.signature,
    }


def _first_state(event: IncomingEvent) -> InboxState:
    if event.park_reason:
        return InboxState.PARKED
    return InboxState.RECEIVED if event.sequence == 1 else InboxState.WAITING_FOR_PREDECESSOR


def _separate_altered(
    events: Iterable[IncomingEvent], known: Mapping[tuple[str, str], str]
) -> tuple[list[IncomingEvent], list[InvalidMessage]]:
    """Returns the new events, each once, and those with a known id and a different body."""
    new: dict[tuple[str, str], IncomingEvent] = {}
    altered = []
    for event in events:
        key = event.source, event.event_id
        before = known.get(key) or (new[key].digest if key in new else event.digest)
        if before != event.digest:
            altered.append(InvalidMessage(event.body, ParkReason.ID_REUSED.value, signature=event.signature))
        elif key not in known:
            new.setdefault(key, event)
    return list(new.values()), altered

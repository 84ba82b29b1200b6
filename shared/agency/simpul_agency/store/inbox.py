"""Events of the city: stored once each, handed out in the order of their stream."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Optional

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
from simpul_agency.records import Arrived, Due, Gap, Handled, Stream, Unreadable
from simpul_agency.store.outbox import find_reply_types
from simpul_agency.store.tables import INBOX, InboxState, among, as_values, insert_unless_known, is_pending
from simpul_schema.vocabulary import ParkReason

OFFERED: Final = "referral.offered.v1"

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
        state=InboxState.RETRYING.value, attempts=INBOX.c.attempts + _ONE, due_at=bindparam("again_at"),
        reason=bindparam("why"),
    )
)  # fmt: skip
_DELETE_PARKED: Final = delete(INBOX).where(INBOX.c.event_id == bindparam("name"), not_(_is_usable))
_FIRST: Final = select(INBOX.c.body).where(INBOX.c.subject == bindparam("of"), INBOX.c.sequence == _ONE, _is_usable)
_NEWEST: Final = (
    select(INBOX.c.subject, INBOX.c.body)
    .where(INBOX.c.type == bindparam("of_type"), _is_usable)
    .order_by(INBOX.c.received_at.desc())
    .limit(_limit)
)
_OFFER: Final = select(INBOX.c.subject, INBOX.c.body).where(
    INBOX.c.type == OFFERED, INBOX.c.subject == bindparam("of"), _is_usable
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


async def add_events(tables: Tables, arrived: Sequence[Arrived], now: float) -> tuple[list[Arrived], list[Unreadable]]:
    """Store the events that are new; return them, and those that differ from a known event of the same id."""
    if not arrived:
        return [], []
    values = as_values(event.event_id for event in arrived)
    rows = await tables.fetch(_known(len(values)), **values)
    new, altered = _sort_out(arrived, {(source, event_id): digest for source, event_id, digest in rows})
    await tables.write(_ADD, [_row(event, now) for event in new])
    return new, altered


async def delete_parked(tables: Tables, name: str) -> None:
    """Take out a parked event, because it is read again."""
    await tables.write(_DELETE_PARKED, [{"name": name}])


async def find_due(tables: Tables, *, now: float, waited_since: float, limit: int) -> tuple[list[Due], int, float]:
    """Events whose handler can be called; how many are pending; and the first moment at which one of them is due.

    An event can be handled once its predecessor is, or when it has waited for it since `waited_since`.
    """
    found = [Due(*row) for row in await tables.fetch(_DUE, now=now, waited_since=waited_since, limit=limit)]
    [[count, next_at]] = await tables.fetch(_PENDING)
    return found, count, next_at


async def find_gaps(tables: Tables, until: float) -> tuple[list[Gap], bool]:
    """Events that wait since before `until` for one that never came, and whether others wait since later."""
    rows = await tables.fetch(_GAPS)
    old = [row for row in rows if row[4] <= until]
    return [Gap(*row[:4]) for row in old], len(old) < len(rows)


async def record_handled(tables: Tables, handled: Iterable[Handled]) -> None:
    """Events are done, or their handlers are called again."""
    done, again = [], []
    for event in handled:
        key = {"of_source": event.source, "of_event": event.event_id}
        if event.again_at is None:
            done.append(key)
        else:
            again.append({**key, "again_at": event.again_at, "why": event.reason})
    await tables.write(_MARK_DONE, done)
    await tables.write(_RETRY, again)


async def find_first(tables: Tables, subject: str) -> Optional[bytes]:
    """The event that began a stream, such as the offer of a referral; None when it never came."""
    found: list[bytes] = [body for (body,) in await tables.fetch(_FIRST, of=subject)]
    return found[0] if found else None


async def find_newest(tables: Tables, wire_name: str, limit: int) -> list[bytes]:
    """The newest events of a type."""
    return [body for _, body in await tables.fetch(_NEWEST, of_type=wire_name, limit=limit)]


async def find_streams(tables: Tables, limit: int, subject: str) -> list[Stream]:
    """The newest referrals, or that of one subject, with what the city and this agency sent about them."""
    offers = await (
        tables.fetch(_OFFER, of=subject) if subject else tables.fetch(_NEWEST, of_type=OFFERED, limit=limit)
    )
    events: dict[str, list[tuple[str, bytes]]] = {name: [] for name, _ in offers}
    if offers:
        values = as_values(events)
        for name, body, of in await tables.fetch(_streams(len(values)), **values):
            events[of].append((name, body))
    replies = await find_reply_types(tables, list(events))
    return [Stream(body, tuple(events[name]), tuple(replies[name])) for name, body in offers[:limit]]


def _row(event: Arrived, now: float) -> dict[str, Any]:
    return {
        "source": event.source, "event_id": event.event_id, "subject": event.subject, "sequence": event.sequence,
        "type": event.type, "digest": event.digest, "body": event.body, "state": _first_state(event).value,
        "reason": event.parked, "attempts": 0, "received_at": now, "due_at": now, "signature": event.signature,
    }  # fmt: skip


def _first_state(event: Arrived) -> InboxState:
    if event.parked:
        return InboxState.PARKED
    return InboxState.RECEIVED if event.sequence == 1 else InboxState.WAITING_FOR_PREDECESSOR


def _sort_out(
    arrived: Iterable[Arrived], known: Mapping[tuple[str, str], str]
) -> tuple[list[Arrived], list[Unreadable]]:
    """Those that are new, each once, and those that have other bytes under a known id."""
    new: dict[tuple[str, str], Arrived] = {}
    altered = []
    for event in arrived:
        key = event.source, event.event_id
        before = known.get(key) or (new[key].digest if key in new else event.digest)
        if before != event.digest:
            altered.append(Unreadable(event.body, ParkReason.ID_REUSED.value, signature=event.signature))
        elif key not in known:
            new.setdefault(key, event)
    return list(new.values()), altered

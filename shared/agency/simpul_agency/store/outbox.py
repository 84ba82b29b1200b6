"""The outbox: replies, stored in the transaction that causes them and published until the broker confirms them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from sqlalchemy import Integer, Select, bindparam, select, update

from simpul_agency.drivers import Tables
from simpul_agency.records import OutgoingReply, ReplyDraft, TypedBody
from simpul_agency.store.tables import OUTBOX, OUTBOX_STREAM, among, as_values, insert_unless_known

_ENQUEUE: Final = insert_unless_known(OUTBOX)
_SET_LAST_SEQUENCE: Final = insert_unless_known(
    OUTBOX_STREAM, "(subject) DO UPDATE SET last_sequence = excluded.last_sequence"
)
_UNPUBLISHED: Final = (
    select(OUTBOX.c.event_id, OUTBOX.c.type, OUTBOX.c.correlation_id, OUTBOX.c.body, OUTBOX.c.signature)
    .where(OUTBOX.c.published_at.is_(None))
    .order_by(OUTBOX.c.position)
    .limit(bindparam("limit", type_=Integer))
)
_MARK_PUBLISHED: Final = (
    update(OUTBOX).where(OUTBOX.c.event_id == bindparam("reply_id")).values(published_at=bindparam("now"))
)


@cache
def _last_sequences(count: int) -> Select[tuple[str, int]]:
    return select(OUTBOX_STREAM.c.subject, OUTBOX_STREAM.c.last_sequence).where(among(OUTBOX_STREAM.c.subject, count))


@cache
def _known(count: int) -> Select[tuple[str]]:
    return select(OUTBOX.c.event_id).where(among(OUTBOX.c.event_id, count))


@cache
def _streams(count: int) -> Select[tuple[str, str, bytes, str]]:
    return (
        select(OUTBOX.c.event_id, OUTBOX.c.type, OUTBOX.c.body, OUTBOX.c.subject)
        .where(among(OUTBOX.c.subject, count))
        .order_by(OUTBOX.c.position)
    )


async def enqueue_replies(tables: Tables, drafts: Sequence[ReplyDraft]) -> list[OutgoingReply]:
    """Gives each reply the next sequence of its stream, signs it and stores it; skips replies that are known."""
    if not drafts:
        return []
    values = as_values(draft.event_id for draft in drafts)
    known = {event_id for (event_id,) in await tables.fetch(_known(len(values)), **values)}
    values = as_values(draft.subject for draft in drafts)
    last = {subject: int(number) for subject, number in await tables.fetch(_last_sequences(len(values)), **values)}
    enqueued: list[tuple[str, OutgoingReply]] = []
    for draft in drafts:
        if draft.event_id in known:
            continue
        known.add(draft.event_id)
        last[draft.subject] = last.get(draft.subject, 0) + 1
        signed = draft.sign_with_sequence(last[draft.subject])
        reply = OutgoingReply(draft.event_id, draft.wire_name, draft.correlation_id, signed.body, signed.signature)
        enqueued.append((draft.subject, reply))
    await tables.write(
        _ENQUEUE,
        [
            {
                "event_id": reply.event_id,
                "subject": subject,
                "type": reply.wire_name,
                "correlation_id": reply.correlation_id,
                "body": reply.body,
                "signature": reply.signature,
            }
            for subject, reply in enqueued
        ],
    )
    await tables.write(
        _SET_LAST_SEQUENCE, [{"subject": subject, "last_sequence": number} for subject, number in last.items()]
    )
    return [reply for _, reply in enqueued]


async def find_unpublished(tables: Tables, limit: int) -> list[OutgoingReply]:
    """Returns the replies that the broker has not confirmed, in order."""
    return [OutgoingReply(*row) for row in await tables.fetch(_UNPUBLISHED, limit=limit)]


async def mark_published(tables: Tables, replies: Sequence[OutgoingReply], now: float) -> None:
    """Marks replies that the broker has confirmed."""
    await tables.write(_MARK_PUBLISHED, [{"now": now, "reply_id": reply.event_id} for reply in replies])


async def find_replies(tables: Tables, subjects: Sequence[str]) -> Mapping[str, dict[str, TypedBody]]:
    """Returns the replies in each of these streams by their id, in order."""
    replies: dict[str, dict[str, TypedBody]] = {subject: {} for subject in subjects}
    if subjects:
        values = as_values(subjects)
        for event_id, name, body, subject in await tables.fetch(_streams(len(values)), **values):
            replies[subject][event_id] = name, body
    return replies

"""Messages that cannot be used: kept with a reason until somebody has them read again."""

from collections.abc import Sequence
from typing import Final, Optional

from sqlalchemy import bindparam, delete, literal_column, select, union_all

from simpul_agency.drivers import Tables
from simpul_agency.records import Parked, ParkedBody, Unreadable
from simpul_agency.store.inbox import delete_parked
from simpul_agency.store.tables import INBOX, PARKED_MESSAGE, InboxState, insert_unless_known

_is_parked: Final = INBOX.c.state == InboxState.PARKED.value
_ADD: Final = insert_unless_known(PARKED_MESSAGE)
_DELETE: Final = delete(PARKED_MESSAGE).where(PARKED_MESSAGE.c.digest == bindparam("name"))
_either: Final = union_all(
    select(INBOX.c.event_id.label("name"), INBOX.c.type, INBOX.c.reason, INBOX.c.received_at.label("moment")).where(
        _is_parked
    ),
    select(PARKED_MESSAGE.c.digest, literal_column("''"), PARKED_MESSAGE.c.reason, PARKED_MESSAGE.c.parked_at),
).subquery()
_ALL: Final = select(_either.c.name, _either.c.type, _either.c.reason).order_by(_either.c.moment)
_BODY: Final = union_all(
    select(INBOX.c.body, INBOX.c.signature, literal_column("1")).where(
        INBOX.c.event_id == bindparam("name"), _is_parked
    ),
    select(PARKED_MESSAGE.c.body, PARKED_MESSAGE.c.signature, literal_column("0")).where(
        PARKED_MESSAGE.c.digest == bindparam("name")
    ),
)


async def park_messages(tables: Tables, messages: Sequence[Unreadable], now: float) -> None:
    """Store messages that cannot be used, each once."""
    await tables.write(_ADD, [
        {
            "digest": one.name, "body": one.body, "reason": one.reason, "parked_at": now, "source": one.source,
            "event_id": one.event_id, "signature": one.signature,
        }
        for one in messages
    ])  # fmt: skip


async def unpark(tables: Tables, name: str) -> None:
    """Take out a parked message, because it is read again."""
    await delete_parked(tables, name)
    await tables.write(_DELETE, [{"name": name}])


async def find_parked(tables: Tables) -> list[Parked]:
    """All parked messages, the oldest first."""
    return [Parked(*row) for row in await tables.fetch(_ALL)]


async def find_body(tables: Tables, name: str) -> Optional[ParkedBody]:
    """The parked message of that name; None when there is none."""
    found = await tables.fetch(_BODY, name=name)
    return next((ParkedBody(body, signature, bool(is_event)) for body, signature, is_event in found), None)

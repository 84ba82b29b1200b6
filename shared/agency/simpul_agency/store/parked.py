"""Parked messages: kept with a reason until somebody replays them."""

from collections.abc import Sequence
from typing import Final, Optional

from sqlalchemy import bindparam, delete, literal_column, select, union_all

from simpul_agency.drivers import Tables
from simpul_agency.records import InvalidMessage, ParkedEntry, ParkedMessage
from simpul_agency.store.inbox import delete_parked_event
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
_CONTENT: Final = union_all(
    select(INBOX.c.body, INBOX.c.signature, literal_column("1")).where(
        INBOX.c.event_id == bindparam("name"), _is_parked
    ),
    select(PARKED_MESSAGE.c.body, PARKED_MESSAGE.c.signature, literal_column("0")).where(
        PARKED_MESSAGE.c.digest == bindparam("name")
    ),
)


async def park_messages(tables: Tables, messages: Sequence[InvalidMessage], now: float) -> None:
    """Stores messages that are not events of the contract, each once."""
    await tables.write(
        _ADD,
        [
            {
                "digest": one.name,
                "body": one.body,
                "reason": one.park_reason,
                "parked_at": now,
                "source": one.source,
                "event_id": one.event_id,
                "signature": one.signature,
            }
            for one in messages
        ],
    )


async def delete_parked(tables: Tables, name: str) -> None:
    """Deletes a parked message or event that is being replayed."""
    await delete_parked_event(tables, name)
    await tables.write(_DELETE, [{"name": name}])


async def list_parked(tables: Tables) -> list[ParkedEntry]:
    """Lists the parked messages, the oldest first."""
    return [ParkedEntry(*row) for row in await tables.fetch(_ALL)]


async def find_parked(tables: Tables, name: str) -> Optional[ParkedMessage]:
    """Returns the parked message with this name; None when there is none."""
    rows = await tables.fetch(_CONTENT, name=name)
    return next((ParkedMessage(body, signature, bool(is_event)) for body, signature, is_event in rows), None)

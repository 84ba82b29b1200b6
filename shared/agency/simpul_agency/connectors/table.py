"""Writes events and their services into tables of the agency's own database, and reads replies from another."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    TextClause,
    bindparam,
    inspect,
    literal_column,
    null,
    select,
    text,
    update,
)

from simpul_agency.connectors.event_document import (
    EVENT_COLUMNS,
    SERVICE_COLUMNS,
    event_document,
    event_row,
    service_rows,
    without_sections,
)
from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, SubmitReply
from simpul_agency.drivers import Tables, driver_for
from simpul_agency.received_event import ReceivedEvent
from simpul_schema.messages import DossierReleasedV1, DossierWithdrawnV1

_METADATA: Final = MetaData()
_REFERRAL: Final = Table(
    "simpul_referral",
    _METADATA,
    *(Column(name, Text, nullable=False, primary_key=name == "event_id") for name in EVENT_COLUMNS),
    Column("event", Text, nullable=False),
)
_SERVICE: Final = Table(
    "simpul_service",
    _METADATA,
    *(Column(name, Text, nullable=False, primary_key=name in ("event_id", "service_id")) for name in SERVICE_COLUMNS),
)
_REPLY_FIELDS: Final = ("referral_id", "reply", "service_ids", "reason", "outcome", "scheduled_for", "about", "text")
_REPLY: Final = Table(
    "simpul_reply",
    _METADATA,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=name not in ("referral_id", "reply")) for name in _REPLY_FIELDS),
    Column("status", Text),
)
_NEW_REPLIES: Final = (
    select(_REPLY.c.id, *(_REPLY.c[name] for name in _REPLY_FIELDS))
    .where(_REPLY.c.status.is_(None))
    .order_by(_REPLY.c.id)
)
_RELEASES: Final = select(_REFERRAL.c.event_id, _REFERRAL.c.event).where(
    _REFERRAL.c.referral_id == bindparam("of_referral"),
    _REFERRAL.c.type == literal_column(f"'{DossierReleasedV1.WIRE_NAME}'"),
)
_SET_EVENT: Final = (
    update(_REFERRAL).where(_REFERRAL.c.event_id == bindparam("of_event")).values(event=bindparam("remaining"))
)
_SET_REJECTED: Final = update(_REPLY).where(_REPLY.c.id == bindparam("reply_id")).values(status=bindparam("rejection"))
# A note must not stay in clear once the city has it.
_SET_SUBMITTED: Final = (
    update(_REPLY).where(_REPLY.c.id == bindparam("reply_id")).values(status="submitted", text=null())
)


class TableConnector:
    """Writes a row into `simpul_referral` for each event, and one into `simpul_service` for each service that it lists.

    Reads replies from `simpul_reply`, and sets their `status`: NULL for a new reply, then `submitted`, or `rejected: `
    and the reason. `service_ids` names the services of a reply, joined by +; NULL stands for all. The `text` of a note
    is deleted when it is submitted.
    """

    def __init__(self, url: str) -> None:
        self._driver = driver_for(url)

    async def open(self) -> None:
        """Connects, and creates missing tables and columns."""
        await self._driver.open()
        # Columns of earlier versions stay, and must be filled.
        self._retired = dict.fromkeys(await self._driver.run_exclusively(_prepare), "")
        self._add = _insert(_REFERRAL, [*self._retired, *_REFERRAL.c.keys()])
        self._add_service = _insert(_SERVICE, _SERVICE.c.keys())

    async def close(self) -> None:
        """Disconnects."""
        await self._driver.close()

    async def deliver(self, received: ReceivedEvent[Any]) -> Sequence[ReplyCommand]:
        """Writes the rows of an event, each once."""
        row = {**self._retired, **event_row(received), "event": json.dumps(event_document(received))}

        async def work(tables: Tables) -> None:
            await tables.write(self._add, [row])
            await tables.write(self._add_service, service_rows(received))
            if isinstance(received.event, DossierWithdrawnV1):
                await _delete_withdrawn(tables, received.event)

        await self._driver.run(work)
        return ()

    async def poll_replies(self, submit: SubmitReply) -> None:
        """Submits the rows without a status."""
        for reply_id, *values in await self._driver.run(lambda tables: tables.fetch(_NEW_REPLIES)):
            fields = {name: value for name, value in zip(_REPLY_FIELDS, values) if value is not None}  # noqa: B905 - 3.10
            try:
                await submit(ReplyCommand.parse(fields), f"table/{reply_id}")
            except InvalidReply as error:
                await self._driver.run(partial(_set_rejected, reply_id=reply_id, reason=str(error)))
            else:
                await self._driver.run(partial(_set_submitted, reply_id=reply_id))


def _insert(table: Table, names: Sequence[str]) -> TextClause:
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES (:{', :'.join(names)}) ON CONFLICT DO NOTHING"  # noqa: S608 - the columns are our own
    )


async def _delete_withdrawn(tables: Tables, event: DossierWithdrawnV1) -> None:
    """Removes withdrawn sections from the releases of the referral."""
    rows = await tables.fetch(_RELEASES, of_referral=str(event.data.referral_id))
    remaining = [
        {"of_event": event_id, "remaining": json.dumps(without_sections(json.loads(document), event.data.sections))}
        for event_id, document in rows
    ]
    await tables.write(_SET_EVENT, remaining)


async def _set_submitted(tables: Tables, *, reply_id: str) -> None:
    await tables.write(_SET_SUBMITTED, [{"reply_id": reply_id}])


async def _set_rejected(tables: Tables, *, reply_id: str, reason: str) -> None:
    await tables.write(_SET_REJECTED, [{"reply_id": reply_id, "rejection": f"rejected: {reason}"}])


def _prepare(connection: Connection) -> list[str]:
    """Creates what is missing; returns the columns of an earlier version that must not be empty."""
    _METADATA.create_all(connection)
    reply_columns = {column["name"] for column in inspect(connection).get_columns(_REPLY.name)}
    if "status" not in reply_columns:
        # The name of this column before the glossary.
        connection.execute(text("ALTER TABLE simpul_reply RENAME COLUMN taken TO status"))
    for name in _REPLY_FIELDS:
        if name not in reply_columns:
            connection.execute(text(f"ALTER TABLE simpul_reply ADD COLUMN {name} text"))
    present = {column["name"]: column for column in inspect(connection).get_columns(_REFERRAL.name)}
    for name in _REFERRAL.c.keys() - present.keys():
        connection.execute(text(f"ALTER TABLE simpul_referral ADD COLUMN {name} text NOT NULL DEFAULT ''"))
    ours = _REFERRAL.c.keys()
    return [name for name, column in present.items() if name not in ours and not column["nullable"]]

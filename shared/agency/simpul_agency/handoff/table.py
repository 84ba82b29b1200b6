"""A table in the agency's own database, and another into which its software writes replies."""

import json
from functools import partial
from typing import Any, Final, Optional

from sqlalchemy import Column, Connection, MetaData, Text, bindparam, inspect, select, text, update
from sqlalchemy import Table as SqlTable

from simpul_agency.drivers import Tables, driver_for
from simpul_agency.handoff.document import COLUMNS, document, flat
from simpul_agency.handoff.said import NotUnderstood, Said, Say
from simpul_agency.received import Received

_METADATA: Final = MetaData()
_REFERRAL: Final = SqlTable(
    "simpul_referral",
    _METADATA,
    *(Column(name, Text, nullable=False, primary_key=name == "event_id") for name in COLUMNS),
    Column("event", Text, nullable=False),
)
_SAID: Final = ("referral_id", "reply", "reason", "outcome", "scheduled_for")
_REPLY: Final = SqlTable(
    "simpul_reply",
    _METADATA,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=name not in ("referral_id", "reply")) for name in _SAID),
    Column("taken", Text),
)
_WAITING: Final = (
    select(_REPLY.c.id, *(_REPLY.c[name] for name in _SAID)).where(_REPLY.c.taken.is_(None)).order_by(_REPLY.c.id)
)
_TAKE: Final = update(_REPLY).where(_REPLY.c.id == bindparam("of")).values(taken=bindparam("fate"))


class Table:
    """`simpul_referral` has a row for each event; a row in `simpul_reply` is a reply, and `taken` says its fate."""

    def __init__(self, url: str) -> None:
        self._driver = driver_for(url)

    async def open(self) -> None:
        """Connect, and make the tables and columns that are missing."""
        await self._driver.open()
        # Columns of earlier versions are left, and must be filled.
        self._retired = dict.fromkeys(await self._driver.run_exclusively(_prepare), "")
        names = [*self._retired, *_REFERRAL.c.keys()]
        self._add = text(
            f"INSERT INTO simpul_referral ({', '.join(names)}) VALUES (:{', :'.join(names)}) ON CONFLICT DO NOTHING"  # noqa: S608 - the columns are our own
        )

    async def close(self) -> None:
        """Disconnect."""
        await self._driver.close()

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """One row for each event, once."""
        row = {**self._retired, **flat(received), "event": json.dumps(document(received))}
        await self._driver.run(lambda tables: tables.write(self._add, [row]))
        return None

    async def listen(self, say: Say) -> None:
        """Say what the rows say that nobody has taken; one that is no reply gets the reason into `taken`."""
        for name, *values in await self._driver.run(lambda tables: tables.fetch(_WAITING)):
            words = {field: value for field, value in zip(_SAID, values) if value is not None}  # noqa: B905 - 3.10
            try:
                await say(Said.read(words), f"table/{name}")
                taken = "yes"
            except NotUnderstood as error:
                taken = f"no: {error}"
            await self._driver.run(partial(_take, name=name, taken=taken))


async def _take(tables: Tables, *, name: str, taken: str) -> None:
    await tables.write(_TAKE, [{"of": name, "fate": taken}])


def _prepare(connection: Connection) -> list[str]:
    """Make what is missing; returns the columns that an earlier version had and that must not be empty."""
    _METADATA.create_all(connection)
    present = {column["name"]: column for column in inspect(connection).get_columns(_REFERRAL.name)}
    for name in _REFERRAL.c.keys() - present.keys():
        connection.execute(text(f"ALTER TABLE simpul_referral ADD COLUMN {name} text NOT NULL DEFAULT ''"))
    ours = _REFERRAL.c.keys()
    return [name for name, column in present.items() if name not in ours and not column["nullable"]]

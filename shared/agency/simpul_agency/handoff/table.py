"""A table in the agency's own database, and another into which its software writes replies."""

import json
from functools import partial
from typing import Any, Optional

from simpul_agency.drivers import Tables, driver_for
from simpul_agency.handoff.document import COLUMNS, document, flat
from simpul_agency.handoff.said import NotUnderstood, Said, Say
from simpul_agency.received import Received

_REFERRALS = f"""
    CREATE TABLE IF NOT EXISTS simpul_referral (
        {", ".join(f"{column} text NOT NULL" for column in COLUMNS)}, event text NOT NULL, PRIMARY KEY (event_id))
"""
_REPLIES = """
    CREATE TABLE IF NOT EXISTS simpul_reply (
        id text PRIMARY KEY, referral_id text NOT NULL, reply text NOT NULL, reason text, outcome text,
        scheduled_for text, taken text)
"""
_ADD = f"""
    INSERT INTO simpul_referral ({", ".join(COLUMNS)}, event)
    VALUES ({", ".join("?" * (len(COLUMNS) + 1))}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - the columns are our own
_SAID = ("referral_id", "reply", "reason", "outcome", "scheduled_for")
_WAITING = (
    "SELECT id, referral_id, reply, reason, outcome, scheduled_for FROM simpul_reply WHERE taken IS NULL ORDER BY id"
)


class Table:
    """`simpul_referral` has a row for each event; a row in `simpul_reply` is a reply, and `taken` says its fate."""

    def __init__(self, url: str) -> None:
        self._driver = driver_for(url)

    async def open(self) -> None:
        """Connect, and make the tables where they are missing."""
        await self._driver.open()

        async def work(tables: Tables) -> None:
            for statement in (_REFERRALS, _REPLIES):
                await tables.write(statement, [()])

        await self._driver.run(work)

    async def close(self) -> None:
        """Disconnect."""
        await self._driver.close()

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """One row for each event, once."""
        row = (*flat(received).values(), json.dumps(document(received)))
        await self._driver.run(lambda tables: tables.write(_ADD, [row]))
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
    await tables.write("UPDATE simpul_reply SET taken = ? WHERE id = ?", [(taken, name)])

"""Removes from stored releases what was withdrawn, and what a later release has replaced.

Sections are stored as they came, sealed to this agency, so nothing of a dossier is on the disk in clear. A section is
deleted by removing it from the stored body; the event itself stays, so that its repetition is recognized.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, literal_column, select, update

from simpul_agency.drivers import Tables
from simpul_agency.store.tables import INBOX, InboxState

RELEASED: Final = "dossier.released.v1"
WITHDRAWN: Final = "dossier.withdrawn.v1"
_EVENTS: Final = (
    select(INBOX.c.source, INBOX.c.event_id, INBOX.c.sequence, INBOX.c.type, INBOX.c.body)
    .where(
        INBOX.c.subject == bindparam("of_subject"),
        INBOX.c.type.in_([literal_column(f"'{RELEASED}'"), literal_column(f"'{WITHDRAWN}'")]),
        INBOX.c.state != literal_column(f"'{InboxState.PARKED.value}'"),
    )
    .order_by(INBOX.c.sequence)
)
# The signature covered the body as it came.
_REPLACE_BODY: Final = (
    update(INBOX)
    .where(INBOX.c.source == bindparam("of_source"), INBOX.c.event_id == bindparam("of_event"))
    .values(body=bindparam("remaining"), signature=literal_column("''"))
)


class _DossierEvent(NamedTuple):
    source: str
    event_id: str
    sequence: int
    type: str
    event: dict[str, Any]

    @property
    def sections(self) -> set[str]:
        """The sections that it releases or withdraws."""
        listed = self.event["data"]["sections"]
        return {one["section"] if isinstance(one, dict) else one for one in listed}


async def delete_outdated_sections(tables: Tables, subject: str) -> None:
    """Deletes the sections of a dossier that a later event of the same source withdraws or replaces."""
    rows = await tables.fetch(_EVENTS, of_subject=subject)
    events = [_DossierEvent(row[0], row[1], row[2], row[3], json.loads(bytes(row[4]))) for row in rows]
    await tables.write(
        _REPLACE_BODY,
        [
            {"of_source": one.source, "of_event": one.event_id, "remaining": json.dumps(remaining).encode()}
            for one in events
            if one.type == RELEASED and (remaining := _remove(one, _list_outdated(one, events)))
        ],
    )


def _list_outdated(released: _DossierEvent, events: Sequence[_DossierEvent]) -> set[str]:
    later: Iterable[_DossierEvent] = (
        one for one in events if one.source == released.source and one.sequence > released.sequence
    )
    return set().union(*(one.sections for one in later))


def _remove(released: _DossierEvent, sections: set[str]) -> dict[str, Any]:
    """Returns the event without these sections; empty when it has none of them."""
    data = released.event["data"]
    sealed = {name: content for name, content in data["sealed"].items() if name not in sections}
    if len(sealed) == len(data["sealed"]):
        return {}
    return released.event | {"data": data | {"sealed": sealed}}

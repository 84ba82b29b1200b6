"""Pages of a list: a cursor names the position after which a page starts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query
from pydantic import BeforeValidator, Field

from simpul_routing.errors import CursorInvalid

Limit = Annotated[int, Query(ge=1, le=200, description="maximum number of lines")]
Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before; empty for the first")]
MAX_IDS: Final = 200
"""Cases that one request may name."""


def _split_ids(values: list[str]) -> list[str]:
    """Splits the values of the parameter, which may also be repeated."""
    return [one for value in values for one in value.split(",")]


CaseIds = Annotated[list[UUID], BeforeValidator(_split_ids), Field(max_length=MAX_IDS)]
Without = Annotated[
    CaseIds | None,
    Query(description="cases that are left out of the list and of its total, by id, separated by commas"),
]
FIRST_PAGE: Final = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""The position before the first line of a list."""


def encode_cursor(moment: datetime, identifier: UUID) -> str:
    """Returns the cursor of a position."""
    return urlsafe_b64encode(f"{moment.isoformat()}|{identifier}".encode()).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Returns the position of a cursor. Raises CursorInvalid."""
    if not cursor:
        return FIRST_PAGE
    try:
        moment, _, identifier = urlsafe_b64decode(cursor).decode().partition("|")
        position = datetime.fromisoformat(moment).astimezone(UTC), UUID(identifier)
    except (ValueError, OverflowError) as error:
        raise CursorInvalid from error
    return position


def find_next(rows: Sequence[Mapping[str, Any]], limit: int, moment: str, identifier: str) -> str | None:
    """Returns the cursor of the next page, if more rows than the limit were found.

    `moment` and `identifier` are the columns by which the rows are ordered.
    """
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return encode_cursor(last[moment], last[identifier])

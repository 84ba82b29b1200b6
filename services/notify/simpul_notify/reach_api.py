"""The report of reach by HTTP, for the pages of the desk: a coordinator reads all of it, a lead their own agency's."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_notify.reach_report import COLUMNS, Period, read_report
from simpul_notify.repository.reach import GroupBy
from simpul_runtime.assertions import AssertionInvalid, Claims, HttpRequest, verify_assertion
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys
from simpul_schema.vocabulary import ActorRole

AUDIENCE: Final = "notify"
REACH: Final = "/reach"
_ISSUER: Final = "desk"
"""The service that has accounts of people and may assert who reads."""
_Month = Annotated[
    str, Query(pattern=r"^(20\d\d-(0[1-9]|1[0-2]))?$", description="such as 2026-11; empty for the last")
]


class ReachOut(BaseModel):
    """The report as a table of texts; durations are in seconds, and empty is what does not apply or is not known."""

    columns: tuple[str, ...]
    rows: list[list[str]]


def add_reach_routes(web: FastAPI, engine: AsyncEngine, keys: Keys, city: City, levels: Mapping[str, str]) -> None:
    """Adds the route; `levels` maps each escalation level to the agency that it is part of."""

    @web.get(REACH, tags=["reports"], summary="Of how many events people were informed, and how messages reached them")
    async def reach(
        request: Request,
        month: _Month = "",
        by: GroupBy = GroupBy.AGENCY,
    ) -> ReachOut:
        claims = await _verify(request, keys)
        parties = _parties_of(claims, levels)
        async with engine.connect() as connection:
            rows = await read_report(connection, Period.of(month, utc_now(), city.zone), by, city.zone, parties)
        return ReachOut(columns=COLUMNS, rows=rows)


def _parties_of(claims: Claims, levels: Mapping[str, str]) -> frozenset[str] | None:
    """Returns whose figures a person may read: their agency's with the levels in it, None for everybody's."""
    match claims.role:
        case ActorRole.COORDINATOR:
            return None
        case ActorRole.AGENCY_LEAD:
            return frozenset({claims.agency, *(level for level, part_of in levels.items() if part_of == claims.agency)})
        case _:
            raise HTTPException(403)


async def _verify(request: Request, keys: Keys) -> Claims:
    """Returns who reads; whoever cannot prove it learns only that it was not proved."""
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    sent = HttpRequest(request.method, f"{path}?{query}" if query else path, await request.body())
    header: Any = request.headers.get("authorization", "")
    try:
        verified = verify_assertion(header, sent, AUDIENCE, lambda _: keys.directory, utc_now())
    except AssertionInvalid as invalid:
        raise HTTPException(401) from invalid
    if verified.issuer != _ISSUER:
        raise HTTPException(401)
    return verified.claims

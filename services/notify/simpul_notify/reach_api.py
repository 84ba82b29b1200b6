"""The report of reach by HTTP, for the pages of the desk: a coordinator reads all of it, a lead their own agency's."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_city import City
from simpul_notify.authentication import find_parties, verify_actor
from simpul_notify.reach_report import COLUMNS, Period, read_report
from simpul_notify.repository.reach import GroupBy
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys

REACH: Final = "/reach"
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
        parties = find_parties(await verify_actor(request, keys), levels)
        async with engine.connect() as connection:
            rows = await read_report(connection, Period.of(month, utc_now(), city.zone), by, city.zone, parties)
        return ReachOut(columns=COLUMNS, rows=rows)

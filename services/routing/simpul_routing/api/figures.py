"""Indicators of a period, as JSON and CSV."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from io import StringIO
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import JSONResponse

from simpul_routing import repository
from simpul_routing.domain.indicators import SMALLEST, ToldLine, by_lines, by_parts
from simpul_routing.repository import Grouping
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service

Month = Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="such as 2026-11")]


def add_figures(web: FastAPI, service: Service, guard: Any) -> None:
    """The route of the indicators."""
    zone = service.city.zone

    @web.get(
        "/indicators", dependencies=[guard], tags=["indicators"],
        summary=f"Times, declines, rights and deadlines of a period; figures below {SMALLEST} are not told",
    )  # fmt: skip
    async def indicators(
        since: Month | None = None,
        until: Month | None = None,
        by: Grouping = Grouping.AGENCY,
        form: Literal["json", "csv"] = "json",
    ) -> Response:
        """Whole months that are over, the last one included; without them the last three. Times are seconds.

        Figures of a month that still runs would tell, from one day to the next, what happened to one child.
        """
        running = utc_now().astimezone(zone).date().replace(day=1)
        last = _month(until) if until else _before(running, 1)
        first = _month(since) if since else _before(last, 2)
        if first > last:
            raise HTTPException(422, "Bulan awal sesudah bulan akhir. / The first month is after the last.")
        if last >= running:
            raise HTTPException(422, "Bulan ini belum selesai. / That month is not over yet.")
        begin, end = (datetime.combine(day, time(), zone) for day in (first, _before(last, -1)))
        async with service.engine.connect() as connection:
            tables = {
                "referrals": by_lines(
                    await repository.referral_figures(connection, by, begin, end, zone.key), repository.NESTED
                ),
                "clocks": by_parts(await repository.clock_figures(connection, begin, end, utc_now())),
                "rights": by_parts(await repository.right_figures(connection, begin, end)),
            }
        if form == "csv":
            name = f"indicators-{_name(first)}-{_name(last)}-{by.value}.csv"
            return Response(
                _csv(tables), media_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": f'attachment; filename="{name}"'},
            )  # fmt: skip
        return _json(first, last, by, tables)


def _json(first: date, last: date, by: Grouping, tables: dict[str, list[ToldLine]]) -> Response:
    shown = {
        name: [{"key": line.key, **line.counts, **line.seconds} for line in lines] for name, lines in tables.items()
    }
    return JSONResponse({
        "since": _name(first), "until": _name(last), "by": by.value, "not_told_below": SMALLEST, **shown,
    })  # fmt: skip


def _csv(tables: dict[str, list[ToldLine]]) -> str:
    """One figure a line; an empty one is not told."""
    text = StringIO()
    written = csv.writer(text)
    written.writerow(("table", "key", "figure", "value"))
    for name, lines in tables.items():
        written.writerows(_rows(name, lines))
    return text.getvalue()


def _rows(table: str, lines: Sequence[ToldLine]) -> Iterator[tuple[str, str, str, str]]:
    for line in lines:
        for figure, value in {**line.counts, **line.seconds}.items():
            yield table, line.key, figure, "" if value is None else str(round(value, 1))


def _month(name: str) -> date:
    return date.fromisoformat(f"{name}-01")


def _name(month: date) -> str:
    return month.strftime("%Y-%m")


def _before(month: date, months: int) -> date:
    """So many months earlier; later when it is negative."""
    years, index = divmod(month.year * 12 + month.month - 1 - months, 12)
    return date(years, index + 1, 1)

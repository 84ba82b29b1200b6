"""Indicators of a period, as JSON and CSV."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from io import StringIO
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse

from simpul_routing import repository
from simpul_routing.domain.indicators import SMALLEST, ToldLine, by_lines, by_parts
from simpul_routing.repository import Grouping
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service


def add_figures(web: FastAPI, service: Service, guard: Any) -> None:
    """The route of the indicators."""
    zone = service.city.zone

    @web.get(
        "/indicators", dependencies=[guard], tags=["indicators"],
        summary=f"Times, declines, rights and deadlines of a period; figures below {SMALLEST} are not told",
    )  # fmt: skip
    async def indicators(
        since: date | None = None,
        until: date | None = None,
        by: Grouping = Grouping.AGENCY,
        form: Literal["json", "csv"] = "json",
    ) -> Response:
        """Days of the city, the last one included; without them the last 90 days. Times are seconds."""
        today = utc_now().astimezone(zone).date()
        last = until or today
        first = since or last - timedelta(days=89)
        if first > last:
            raise HTTPException(422, "Tanggal awal sesudah tanggal akhir. / The first day is after the last.")
        begin, end = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
        async with service.engine.connect() as connection:
            tables = {
                "referrals": by_lines(await repository.referral_figures(connection, by, begin, end, zone.key)),
                "clocks": by_parts(await repository.clock_figures(connection, begin, end, utc_now())),
                "rights": by_parts(await repository.right_figures(connection, begin, end)),
            }
        if form == "csv":
            name = f"indicators-{first}-{last}-{by.value}.csv"
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
        "since": first.isoformat(), "until": last.isoformat(), "by": by.value, "not_told_below": SMALLEST, **shown,
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

"""Indicators of a period as JSON and CSV."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from io import StringIO
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Response
from fastapi.responses import JSONResponse

from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.indicators import MIN_COUNT, PublishedLine, publish_lines, publish_parts
from simpul_routing.errors import MonthNotOver, MonthsReversed
from simpul_routing.repository import IndicatorKey
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service

Month = Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="such as 2026-11")]


def add_indicator_routes(
    web: FastAPI, service: Service, zone: ZoneInfo, authentication: Authentication, documented: dict[str, Any]
) -> None:
    """Adds the route of the indicators."""
    recorded = record_reads(service.engine)

    @web.get(
        "/indicators",
        **documented,
        tags=["indicators"],
        summary=f"Times, declines, rights and clocks of a period; counts below {MIN_COUNT} are hidden",
    )
    async def indicators(
        _by: Annotated[Actor, authentication.permit(ApiAction.READ_INDICATORS)],
        since: Month | None = None,
        until: Month | None = None,
        by: IndicatorKey = IndicatorKey.AGENCY,
        form: Literal["json", "csv"] = "json",
    ) -> Response:
        """Indicators of past months, `until` included; by default of the last three. Times are in seconds.

        The present month is refused: its counts would reveal from day to day what happened to one child.
        """
        running = utc_now().astimezone(zone).date().replace(day=1)
        last = _month(until) if until else _months_before(running, 1)
        first = _month(since) if since else _months_before(last, 2)
        if first > last:
            raise MonthsReversed
        if last >= running:
            raise MonthNotOver
        begin, end = (datetime.combine(day, time(), zone) for day in (first, _months_before(last, -1)))
        async with recorded(_by, ApiAction.READ_INDICATORS) as connection:
            tables = {
                "services": publish_lines(
                    await repository.count_services(connection, by, begin, end, zone.key), repository.NESTED_COUNTS
                ),
                "clocks": publish_parts(await repository.count_clocks(connection, begin, end, utc_now())),
                "rights": publish_parts(await repository.count_rights(connection, begin, end)),
            }
        if form == "csv":
            name = f"indicators-{_month_name(first)}-{_month_name(last)}-{by.value}.csv"
            return Response(
                _csv(tables),
                media_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": f'attachment; filename="{name}"'},
            )
        return _json(first, last, by, tables)


def _json(first: date, last: date, by: IndicatorKey, tables: dict[str, list[PublishedLine]]) -> Response:
    shown = {
        name: [{"key": line.key, **line.counts, **line.seconds} for line in lines] for name, lines in tables.items()
    }
    return JSONResponse(
        {
            "since": _month_name(first),
            "until": _month_name(last),
            "by": by.value,
            "suppressed_below": MIN_COUNT,
            **shown,
        }
    )


def _csv(tables: dict[str, list[PublishedLine]]) -> str:
    """Renders one count per line; a suppressed count is empty."""
    text = StringIO()
    written = csv.writer(text)
    written.writerow(("table", "key", "figure", "value"))
    for name, lines in tables.items():
        written.writerows(_rows(name, lines))
    return text.getvalue()


def _rows(table: str, lines: Sequence[PublishedLine]) -> Iterator[tuple[str, str, str, str]]:
    for line in lines:
        for figure, value in {**line.counts, **line.seconds}.items():
            yield table, line.key, figure, "" if value is None else str(round(value, 1))


def _month(name: str) -> date:
    return date.fromisoformat(f"{name}-01")


def _month_name(month: date) -> str:
    return month.strftime("%Y-%m")


def _months_before(month: date, months: int) -> date:
    """Returns the month that many months earlier, or later if negative."""
    years, index = divmod(month.year * 12 + month.month - 1 - months, 12)
    return date(years, index + 1, 1)

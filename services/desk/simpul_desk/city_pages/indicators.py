"""The figures of past months as charts with their tables, and as a file."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_agreement.model import ClockName
from simpul_desk.access import Role, User
from simpul_desk.city_pages.charts import Bar, Chart, build_chart, count_of, rate_of, share_of
from simpul_desk.city_pages.pages import CityPages, Coordinator
from simpul_desk.papers import Figures, Printer, write_figures
from simpul_desk.rendering import page_language
from simpul_desk.service_api import ServiceRefused
from simpul_desk.wording import Wording
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import Right
from simpul_schema.vocabulary import Service as Need

KEYS: Final = ("agency", "service", "month")
"""What services are counted by; one key at a time, because two could identify a child."""
_BY: Final[Mapping[str, tuple[tuple[str, Any, str], ...]]] = {
    "agency": (
        (gettext_noop("Services offered, by agency"), count_of("offered"), ""),
        (gettext_noop("Time to answer, by agency (half of the answers came faster)"), count_of("accepted_p50"), "s"),
        (gettext_noop("Closed loop, by agency: services with an outcome"), rate_of("completed", "offered"), "%"),
    ),
    "service": ((gettext_noop("Services offered, by kind"), count_of("offered"), ""),),
    "month": (
        (gettext_noop("Services offered, by month"), count_of("offered"), ""),
        (gettext_noop("Time to answer, by month (half of the answers came faster)"), count_of("accepted_p50"), "s"),
        (gettext_noop("Closed loop, by month: services with an outcome"), rate_of("completed", "offered"), "%"),
    ),
}
CLOCKS: Final = gettext_noop("Deadlines that were met")
RIGHTS: Final = gettext_noop("Rights that were fulfilled, among all that are owed")
_UNFULFILLED: Final = ("unanswered", "offered", "planned", "referred", "in_progress")
"""States of a right that is owed and not fulfilled."""


def add_indicators(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.get("/city/indicators", include_in_schema=False)
    async def indicators(request: Request, user: Coordinator, since: str = "", until: str = "") -> Response:
        found = await read_indicators(pages, user, since, until)
        return pages.render(
            request,
            "city/indicators.html",
            charts=draw(found, pages.agency_names, page_language(request)),
            since=found["agency"]["since"],
            until=found["agency"]["until"],
            suppressed_below=found["agency"]["suppressed_below"],
        )

    @web.get("/city/indicators/{key}.csv", include_in_schema=False)
    async def as_file(user: Coordinator, key: str, since: str = "", until: str = "") -> Response:
        if key not in KEYS:
            raise HTTPException(404)
        actor = user.act_as(Role.COORDINATOR)
        answer = await pages.routing.get(actor, "/indicators", by=key, since=since, until=until, form="csv")
        name = f"simpul-{key}.csv" if not (since and until) else f"simpul-{key}-{since}-{until}.csv"
        headers = {"content-disposition": f'attachment; filename="{_safe(name)}"'}
        return Response(answer.content, media_type="text/csv; charset=utf-8", headers=headers)

    @web.post("/city/indicators/recap", include_in_schema=False)
    async def recap(request: Request, user: Coordinator) -> Response:
        given, language = await request.form(), page_language(request)
        found = await read_indicators(pages, user, str(given.get("since", "")), str(given.get("until", "")))
        issuer, wording = user.act_as(Role.COORDINATOR).agency, pages.wording(request)
        shared = found["agency"]
        figures = Figures(
            f"{shared['since']} - {shared['until']}",
            pages.agency_names[issuer],
            describe_charts(draw(found, pages.agency_names, language), wording),
            shared["suppressed_below"],
        )
        return await Printer(pages.service.engine).print(
            request,
            user,
            write_figures(figures, pages.city.name, wording),
            kind="figures",
            agency=issuer,
            subject="",
            services=(),
            language=language,
        )


def describe_charts(charts: Sequence[Chart], wording: Wording) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns the name of each chart in the reader's language, with label and figure of its bars."""
    translate = load_translations("simpul_desk")[wording.language].gettext

    def figure(bar: Bar, unit: str) -> str:
        if bar.value is None:
            return translate("not shown")
        if unit == "s":
            return wording.duration(timedelta(seconds=bar.value))
        return f"{bar.value} %" if unit == "%" else f"{bar.value}"

    return [(translate(chart.name), [(bar.label, figure(bar, chart.unit)) for bar in chart.bars]) for chart in charts]


async def read_indicators(pages: CityPages, user: User, since: str, until: str) -> dict[str, Any]:
    """Reads the indicators of a period by each key; a period that routing refuses becomes the usual one."""
    actor = user.act_as(Role.COORDINATOR)
    try:
        answers = await asyncio.gather(
            *(pages.routing.get(actor, "/indicators", by=key, since=since, until=until) for key in KEYS)
        )
    except ServiceRefused:
        if not (since or until):
            raise
        return await read_indicators(pages, user, "", "")
    return {key: answer.content for key, answer in zip(KEYS, answers, strict=True)}


def draw(found: Mapping[str, Any], agency_names: Mapping[str, str], language: str) -> list[Chart]:
    """Draws the charts of a period from what routing published."""
    labels = {
        "agency": lambda code: agency_names.get(code, code),
        "service": lambda code: Need(code).label(language),
        "month": lambda month: month,
    }
    charts = [
        build_chart(name, [line for line in found[key]["services"] if line["key"] != "all"], value, labels[key], unit)
        for key, drawn in _BY.items()
        for name, value, unit in drawn
    ]
    shared = found[KEYS[0]]
    charts.append(
        build_chart(
            CLOCKS, shared["clocks"], share_of("met", "missed"), lambda code: ClockName(code).label(language), "%"
        )
    )
    charts.append(
        build_chart(
            RIGHTS,
            shared["rights"],
            share_of("fulfilled", *_UNFULFILLED),
            lambda code: Right(code).label(language),
            "%",
        )
    )
    return charts


def _safe(name: str) -> str:
    return "".join(one for one in name if one.isascii() and (one.isalnum() or one in "-."))

"""Charts show what routing published: a suppressed figure has no bar, and every chart has its table."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.city_pages.charts import WIDTH, build_chart, count_of, rate_of, share_of
from simpul_desk.city_pages.indicators import KEYS, add_indicators, describe_charts, draw
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.live import LiveChannels
from simpul_desk.service_api import ServiceRefused
from simpul_desk.wording import Wording
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

COORDINATOR = User(UUID(int=1), "Wiji Rekaan", "en", memberships={}, city_roles={Role.COORDINATOR: "uptd-ppa"})
SERVICES: list[dict[str, Any]] = [
    {"key": "ylpa", "offered": 40, "accepted_p50": 5_400.0, "completed": 10},
    {"key": "rs-rujukan", "offered": None, "accepted_p50": None, "completed": None},
    {"key": "uptd-ppa", "offered": 10, "accepted_p50": 60.0, "completed": 0},
    {"key": "all", "offered": 54, "accepted_p50": 900.0, "completed": None},
]
RIGHT = {
    "key": "education",
    "fulfilled": 30,
    "unanswered": 0,
    "offered": 5,
    "planned": 0,
    "referred": 5,
    "in_progress": 0,
    "refused_by_victim": 7,
    "not_applicable": 9,
}


def test_the_longest_bar_is_that_of_the_largest_count() -> None:
    chart = build_chart("load", SERVICES[:3], count_of("offered"), str.upper)

    assert [(bar.label, bar.value, bar.length) for bar in chart.bars] == [
        ("YLPA", 40, WIDTH),
        ("RS-RUJUKAN", None, 0),
        ("UPTD-PPA", 10, WIDTH / 4),
    ]


def test_a_share_is_drawn_against_all_children() -> None:
    [bar, *_] = build_chart("loop", SERVICES[:1], rate_of("completed", "offered"), str, "%").bars

    assert (bar.value, bar.length) == (25.0, WIDTH / 4)


@pytest.mark.parametrize(
    ("line", "share"),
    [({"met": 30, "missed": 10}, 75.0), ({"met": 30, "missed": None}, None), ({"met": 0, "missed": 0}, None)],
)
def test_a_share_with_a_suppressed_part_is_suppressed(line: dict[str, Any], share: float | None) -> None:
    assert share_of("met", "missed")(line) == share


class Routing:
    """Publishes the figures of October, and refuses the present month."""

    async def get(self, _: object, path: str, **query: Any) -> Any:
        if query["since"] == "2026-11":
            raise ServiceRefused(
                422, {"code": "month_not_over", "messages": {"en": "The month is not over.", "id": "Belum berakhir."}}
            )
        if query.get("form") == "csv":
            return SimpleNamespace(content=f"table,key,figure,value\nservices,{query['by']},offered,\n")
        services = SERVICES if query["by"] == "agency" else []
        clocks = [{"key": "answer", "met": 30, "missed": 10, "running": 0}]
        return SimpleNamespace(
            content={
                "since": "2026-08",
                "until": "2026-10",
                "suppressed_below": 5,
                "services": services,
                "clocks": clocks,
                "rights": [RIGHT],
            }
        )


@pytest.fixture
def browser() -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return COORDINATOR

    web, nothing = FastAPI(), SimpleNamespace(engine=None)
    web.state.find_user = find_user
    routing: Any = Routing()
    pages: Any = CityPages(nothing, CITY, LiveChannels(), routing)  # type: ignore[arg-type]  # no database is needed
    add_indicators(web, pages)
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


@pytest.mark.parametrize("query", ["", "?since=2026-11"])
async def test_the_page_shows_each_figure_as_bar_and_in_a_table(browser: AsgiBrowser, query: str) -> None:
    page = await browser.get(f"/city/indicators{query}")

    assert page.status == 200
    assert page.text.count("<svg") == page.text.count('-table"><caption') == 5
    for shown in ("1 h 30 min", "25.0 %", "75.0 %", "not shown", "Figures below 5 are not shown"):
        assert shown in page.shown_text
    assert "54" not in page.shown_text


async def test_a_key_gives_its_file_and_any_other_none(browser: AsgiBrowser) -> None:
    page = await browser.get("/city/indicators/agency.csv?since=2026-08&until=2026-10")

    assert (page.status, page.text.splitlines()[1]) == (200, "services,agency,offered,")
    assert page.header("content-disposition") == 'attachment; filename="simpul-agency-2026-08-2026-10.csv"'
    assert (await browser.get("/city/indicators/child.csv")).status == 404


def test_a_recap_has_the_figures_of_the_page_and_hides_the_same() -> None:
    found: Any = {
        key: {
            "services": SERVICES if key == "agency" else [],
            "clocks": [{"key": "answer", "met": 30, "missed": 10}],
            "rights": [RIGHT],
        }
        for key in KEYS
    }
    wording = Wording("en", CITY.zone, datetime(2026, 11, 27, tzinfo=UTC))

    tables = dict(describe_charts(draw(found, {"ylpa": "YLPA"}, "en"), wording))

    assert tables["Services offered, by agency"][0] == ("YLPA", "40")
    assert tables["Services offered, by agency"][1][1] == "not shown"
    assert tables["Deadlines that were met"] == [("Answer of the agency", "75.0 %")]

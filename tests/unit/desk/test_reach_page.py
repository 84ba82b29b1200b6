"""The page on reach: the whole city for a coordinator, the own agencies for a lead, as a page and as a file."""

import csv
import io
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Actor, Role, User
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.reach import add_reach_pages
from simpul_desk.live import LiveChannels
from tests.support.agreements import CITY, kediri
from tests.support.asgi_browser import AsgiBrowser

COLUMNS = [
    "month", "party", "events", "informed", "exhausted", "informed_seconds", "person", "by", "provider", "messages",
    "arrived", "failed", "acknowledged", "arrival_seconds", "answer_seconds",
]  # fmt: skip
COORDINATOR = User(
    id=UUID(int=1), name="Wiji Rekaan", language="en", memberships={}, city_roles={Role.COORDINATOR: "uptd-ppa"}
)
LEAD = User(
    id=UUID(int=2),
    name="Sri Rekaan",
    language="id",
    city_roles={},
    memberships={"ylpa": Role.AGENCY_LEAD, "rs-rujukan": Role.AGENCY_LEAD, "polres-ppa": Role.RESPONDER},
)


def rows_of(party: str) -> list[list[str]]:
    return [
        ["2026-11", party, "4", "3", "1", "20", *[""] * 9],
        ["2026-11", party, "", "", "", "", "", "sms", "", "4", "3", "1", "2", "30", "4000"],
        ["2026-11", party, "", "", "", "", "", "mail", "", "4", "0", "0", "0", "", ""],
    ]


@dataclass
class Notify:
    """Knows the figures of two agencies, and answers as notify's API."""

    questions: list[tuple[Actor, dict[str, Any]]] = field(default_factory=list)
    parties: tuple[str, ...] = ("rs-rujukan", "ylpa")

    async def get(self, actor: Actor, path: str, **query: Any) -> Any:
        assert path == "/reach"
        self.questions.append((actor, query))
        shown = [one for one in self.parties if actor.role.value == "coordinator" or one == actor.agency]
        return SimpleNamespace(content={"columns": COLUMNS, "rows": [row for one in shown for row in rows_of(one)]})


def browser_of(user: User, notify: Notify) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    service: Any = SimpleNamespace(engine=None)
    client: Any = notify
    web = FastAPI()
    web.state.find_user = find_user
    add_reach_pages(web, CityPages(service, CITY, LiveChannels(), client), client, kediri)
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


async def test_a_coordinator_sees_every_agency_with_shares_and_times() -> None:
    notify = Notify()

    page = await browser_of(COORDINATOR, notify).get("/reach?month=2026-11&by=provider")

    assert page.status == 200
    for name in ("rs-rujukan", "ylpa"):
        assert next(agency.name for agency in CITY.agencies if agency.code == name) in page.text
    assert "events of which a person was informed" in page.shown_text
    assert "3 / 4" in page.shown_text
    assert "30 s" in page.shown_text
    assert "1 h 6 min" in page.shown_text
    assert "not known" in page.shown_text
    [(actor, question)] = notify.questions
    assert (actor.role.value, actor.agency) == ("coordinator", "uptd-ppa")
    assert question == {"month": "2026-11", "by": "provider"}


async def test_a_lead_sees_the_own_agencies_only_in_the_own_language() -> None:
    notify = Notify(parties=("rs-rujukan", "ylpa", "polres-ppa"))

    page = await browser_of(LEAD, notify).get("/reach")

    assert [(actor.role.value, actor.agency) for actor, _ in notify.questions] == [
        ("agency_lead", "rs-rujukan"),
        ("agency_lead", "ylpa"),
    ]
    assert "Apakah pemberitahuan sampai?" in page.shown_text
    assert next(agency.name for agency in CITY.agencies if agency.code == "polres-ppa") not in page.text


@pytest.mark.parametrize("user", [COORDINATOR, LEAD], ids=["coordinator", "lead"])
async def test_the_same_rows_are_a_file(user: User) -> None:
    page = await browser_of(user, Notify()).get("/reach/report.csv?month=2026-11&by=responder")

    assert dict(page.headers)["content-type"].startswith("text/csv")
    assert dict(page.headers)["content-disposition"] == 'attachment; filename="simpul-reach-responder-2026-11.csv"'
    rows = list(csv.DictReader(io.StringIO(page.text)))
    assert [(row["party"], row["by"], row["messages"]) for row in rows] == [
        (party, *rest) for party in ("rs-rujukan", "ylpa") for rest in (("", ""), ("sms", "4"), ("mail", "4"))
    ]


@pytest.mark.parametrize("query", ["month=november&by=agency", "month=2026-13", "by=name", "month=2026-11%0d%0ax&by="])
async def test_what_notify_would_refuse_becomes_the_usual_report(query: str) -> None:
    notify = Notify()
    browser = browser_of(COORDINATOR, notify)

    page, as_file = await browser.get(f"/reach?{query}"), await browser.get(f"/reach/report.csv?{query}")

    assert (page.status, as_file.status) == (200, 200)
    assert [question for _, question in notify.questions] == [{"month": "", "by": "agency"}] * 2


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR, Role.RESPONDER, Role.CASE_MANAGER])
async def test_for_everybody_else_it_does_not_exist(role: Role) -> None:
    is_of_city = role in (Role.AUDITOR, Role.OPERATOR)
    held = {"city_roles": {role: "uptd-ppa"}} if is_of_city else {"city_roles": {}, "memberships": {"ylpa": role}}
    user = replace(COORDINATOR, **held)
    notify = Notify()
    browser = browser_of(user, notify)

    assert [(await browser.get(path)).status for path in ("/reach", "/reach/report.csv")] == [404, 404]
    assert notify.questions == []


async def test_a_period_without_alerts_says_so() -> None:
    page = await browser_of(COORDINATOR, Notify(parties=())).get("/reach")

    assert "Nobody was alerted in this period." in page.shown_text


async def test_parties_and_ways_are_written_as_people_call_them() -> None:
    page = await browser_of(replace(COORDINATOR, language="id"), Notify(parties=("uptd-ppa-head",))).get("/reach")

    assert "Kepala UPT PPA, 2026-11" in page.shown_text
    assert "uptd-ppa-head" not in page.text
    assert ("SMS" in page.shown_text, "E-mail" in page.shown_text) == (True, True)

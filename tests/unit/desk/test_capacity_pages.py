"""What agencies can take, at the desk: stated by the lead, and with the load of all for the coordinator."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.service_api import ServiceRefused
from simpul_desk.team_pages.capacity import CapacityPages, add_capacity_pages
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser, Page

LEAD = User(UUID(int=2), "Sri Rekaan", "id", {"ylpa": Role.AGENCY_LEAD}, {})
COORDINATOR = User(UUID(int=1), "Wiji Rekaan", "en", {}, {Role.COORDINATOR: "uptd-ppa"})
LEAD_OF_TWO = replace(LEAD, memberships={"ylpa": Role.AGENCY_LEAD, "uptd-ppa": Role.AGENCY_LEAD})
SECRET = "secret"
ROW = {
    "agency": "ylpa",
    "agency_name": "YLPA",
    "service": "legal_aid",
    "right": "accompaniment",
    "open_cases": 3,
    "max_open_cases": 5,
    "full_until": None,
    "stated_at": None,
    "is_full": False,
    "is_never_passed_over": False,
}
FULL = ROW | {"agency": "uptd-ppa", "agency_name": "UPTD PPA", "full_until": "2026-12-10", "is_full": True}
CASE_MANAGEMENT = ROW | {"service": "case_management", "right": "prompt_response", "is_never_passed_over": True}


@dataclass
class Routing:
    """Knows the capacities of two agencies, and takes statements unless it refuses them."""

    refusal: ServiceRefused | None = None
    calls: list[tuple[str, str, str, Any]] = field(default_factory=list)

    async def get(self, actor: Any, path: str, **_: Any) -> Any:
        assert path == "/capacities"
        rows = [ROW, CASE_MANAGEMENT] if actor.role.value == "agency_lead" else [ROW, FULL, CASE_MANAGEMENT]
        return SimpleNamespace(content={"today": "2026-11-27", "capacities": rows})

    async def call(self, actor: Any, method: str, path: str, body: Any = None) -> Any:
        if self.refusal:
            raise self.refusal
        self.calls.append((actor.agency, method, path, body))


def browser_of(user: User, routing: Routing) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    client: Any = routing
    web = FastAPI()
    web.state.find_user = find_user
    add_capacity_pages(web, CapacityPages(CITY, client))
    return AsgiBrowser(web, cookies={SESSION_COOKIE: SECRET})


async def send(browser: AsgiBrowser, target: str, **fields: str) -> Page:
    return await browser.post(target, {FORM_FIELD: form_token_of(SECRET), **fields})


async def test_a_lead_reads_load_and_room_of_the_own_agency_only() -> None:
    page = await browser_of(LEAD, Routing()).get("/capacity")

    assert page.status == 200
    assert "3 kasus terbuka, masih ada tempat untuk 2" in page.shown_text
    assert "UPTD PPA" not in page.shown_text


async def test_a_service_that_always_comes_has_no_limit_to_state() -> None:
    page = await browser_of(LEAD, Routing()).get("/capacity")

    assert 'id="ylpa.legal_aid-max"' in page.text
    assert 'id="ylpa.case_management-max"' not in page.text
    assert "Layanan ini selalu dikirim kepada Anda" in page.shown_text


async def test_a_lead_states_a_limit_and_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    routing = Routing()
    browser = browser_of(LEAD, routing)

    page = await send(browser, "/capacity/ylpa", service="legal_aid", max_open_cases="7", full_until="2026-12-10")
    ended = await send(browser, "/capacity/ylpa", service="legal_aid", max_open_cases="", full_until="")

    assert (page.status, page.location, ended.status) == (303, "/capacity?done=ylpa.legal_aid", 303)
    stated = {"service": "legal_aid", "max_open_cases": 7, "full_until": "2026-12-10"}
    nothing = {"service": "legal_aid", "max_open_cases": None, "full_until": None}
    assert routing.calls == [("ylpa", "PUT", "/capacities", stated), ("ylpa", "PUT", "/capacities", nothing)]
    assert "Tersimpan." in (await browser.get(page.location)).shown_text


@pytest.mark.parametrize("number", ["0", "-1", "10001", "many", "1.5", "²", "1" * 5_000])
async def test_what_is_no_number_is_shown_again_with_the_reason(number: str) -> None:
    routing = Routing()

    page = await send(browser_of(LEAD, routing), "/capacity/ylpa", service="legal_aid", max_open_cases=number)

    assert (page.status, routing.calls) == (422, [])
    assert f'value="{number}"' in page.text
    assert "Isikan jumlah kasus terbuka" in page.shown_text


async def test_what_is_saved_or_wrong_for_one_agency_is_shown_there_only() -> None:
    browser = browser_of(LEAD_OF_TWO, Routing())

    saved = await browser.get("/capacity?done=uptd-ppa.legal_aid")
    wrong = await send(browser, "/capacity/uptd-ppa", service="legal_aid", max_open_cases="many")

    assert saved.text.count("Tersimpan.") == 1
    assert saved.text.index('action="/capacity/uptd-ppa"') < saved.text.index("Tersimpan.")
    assert saved.text.index("Tersimpan.") < saved.text.index('action="/capacity/ylpa"')
    assert wrong.text.count('value="many"') == 1
    assert 'href="#uptd-ppa.legal_aid-max"' in wrong.text
    for name in ("uptd-ppa.legal_aid-max", "ylpa.legal_aid-max", "uptd-ppa.legal_aid-until", "ylpa.legal_aid-until"):
        assert wrong.text.count(f'id="{name}"') == 1


async def test_what_routing_refuses_is_explained() -> None:
    refusal = ServiceRefused(422, {"code": "day_too_far", "messages": {"id": "Isikan tanggal lebih awal.", "en": "-"}})

    page = await send(
        browser_of(LEAD, Routing(refusal)), "/capacity/ylpa", service="legal_aid", full_until="2029-01-01"
    )

    assert page.status == 422
    assert "Isikan tanggal lebih awal." in page.shown_text


async def test_nobody_states_for_another_agency() -> None:
    routing = Routing()

    page = await send(browser_of(LEAD, routing), "/capacity/uptd-ppa", service="legal_aid", max_open_cases="1")
    stranger = await send(browser_of(COORDINATOR, routing), "/capacity/ylpa", service="legal_aid", max_open_cases="1")

    assert (page.status, stranger.status, routing.calls) == (404, 404, [])


async def test_the_coordinator_sees_load_and_room_of_every_agency_by_right() -> None:
    page = await browser_of(COORDINATOR, Routing()).get("/capacity")

    assert page.status == 200
    assert "UPTD PPA Legal aid 3 of 5 full until 10 December 2026" in " ".join(page.shown_text.split())
    assert "<form" not in page.text.partition("<main")[2]

"""Transfers to parties outside the agreement: each form becomes what routing records, and nothing typed is lost."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.routes import add_city_pages
from simpul_desk.live import LiveChannels
from simpul_desk.service_api import ServiceRefused
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser
from tests.unit.desk.test_city_pages import CASE, COORDINATOR, HIDDEN, SHOWN

WAITING, DONE = UUID(int=21), UUID(int=22)
AGENCY = "rs-rujukan"
LETTER = {
    "subject": "child",
    "way": "paper",
    "party": "UPTD PPA Kabupaten",
    "address": "Jalan Contoh 7",
    "reason": "Tinggal di kabupaten",
}
RECEIPT = {"name": "Hestrud Quamiral", "office": "Kepala UPTD", "received_on": "2026-11-28"}
FORMS: list[tuple[str, str, Mapping[str, str]]] = [
    ("transfers", "transfers", LETTER),
    (f"receipts/{WAITING}", f"transfers/{WAITING}/acknowledge", RECEIPT),
    (f"withdrawals/{WAITING}", f"transfers/{WAITING}/withdraw", {"reason": "Keluarga kembali"}),
]
"""Path of a form at the desk, of its call at routing, and what is typed."""
TRANSFERS: list[dict[str, Any]] = [
    {
        "transfer_id": str(WAITING),
        "code": "R-7K3Q2M",
        "subject": "child",
        "way": "mail",
        "waits_for": "UPTD <PPA> Kabupaten",
        "state": "sent",
        "sent_at": "2026-11-27T01:00:00+00:00",
        "acknowledge_by": "2026-11-27T05:00:00+00:00",
        "acknowledged_by": None,
    },
    {
        "transfer_id": str(DONE),
        "code": "R-2M7K3Q",
        "subject": "suspect",
        "way": "paper",
        "waits_for": "Bapas",
        "state": "acknowledged",
        "sent_at": "2026-11-27T01:00:00+00:00",
        "acknowledge_by": "2026-11-27T05:00:00+00:00",
        "acknowledged_by": {"name": "Hestrud Quamiral", "office": "Kepala", "on": "2026-11-28"},
    },
]


class Routing:
    """Knows a case with a letter that waits and one that was acknowledged; may refuse every change."""

    def __init__(self, *, is_refusing: bool = False, ended_at: str | None = None) -> None:
        self.is_refusing = is_refusing
        self.bodies: list[Any] = []
        self.case = CASE | {"transfers": TRANSFERS, "ended_at": ended_at, "ended_as": "closed" if ended_at else None}

    async def get(self, _: object, path: str, **query: Any) -> Any:
        if path.endswith("/letter"):
            return SimpleNamespace(content=f"Pelimpahan {query['language']} <R-7K3Q2M>", version="")
        return SimpleNamespace(content=self.case if path == f"/cases/{SHOWN}" else [], version='"2"')

    async def call(self, _: object, method: str, path: str, *, body: Any, version: str) -> None:
        self.bodies.append((method, path, body, version))
        if self.is_refusing:
            messages = {"en": "The case changed.", "id": "Kasus berubah."}
            raise ServiceRefused(412, {"code": "case_changed", "messages": messages})


def browser_at(routing: Routing, user: User = COORDINATOR) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    web, service = FastAPI(), SimpleNamespace(engine=None)
    web.state.find_user = find_user
    add_city_pages(web, CityPages(service, CITY, LiveChannels(), routing))  # type: ignore[arg-type]  # what is used
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def given(fields: Mapping[str, str]) -> dict[str, str]:
    return {"version": '"1"', FORM_FIELD: form_token_of("secret"), **fields}


@pytest.mark.parametrize(("form", "path", "fields"), FORMS)
async def test_a_form_becomes_what_routing_records(form: str, path: str, fields: Mapping[str, str]) -> None:
    routing = Routing()
    browser = browser_at(routing)

    page = await browser.post(f"/city/cases/{SHOWN}/{form}", given(fields))

    assert routing.bodies == [("POST", f"/cases/{SHOWN}/{path}", fields, '"1"')]
    assert page.status == 303
    assert "notification-banner--success" in (await browser.get(page.location)).text


@pytest.mark.parametrize(("form", "_", "fields"), FORMS)
async def test_a_refused_form_says_why_and_keeps_what_was_typed(form: str, _: str, fields: Mapping[str, str]) -> None:
    page = await browser_at(Routing(is_refusing=True)).post(f"/city/cases/{SHOWN}/{form}", given(fields))

    assert page.status == 412
    assert "The case changed." in page.shown_text
    assert all(f'value="{value}"' in page.text for value in fields.values())
    assert page.text.count(" checked") == (2 if form == "transfers" else 0)
    assert page.text.count('<details class="govuk-details" id="') == page.text.count("<details")
    assert page.text.count(" open>") == 1


@pytest.mark.parametrize(("form", "_", "fields"), FORMS)
async def test_what_was_typed_stays_where_the_case_ended_meanwhile(
    form: str, _: str, fields: Mapping[str, str]
) -> None:
    routing = Routing(is_refusing=True, ended_at="2026-11-28T01:00:00+00:00")

    page = await browser_at(routing).post(f"/city/cases/{SHOWN}/{form}", given(fields))

    written = [fields[name] for name in ("party", "address", "reason", "name", "office") if name in fields]
    assert all(f"You had written: {one}" in page.shown_text for one in written)
    assert f'action="/city/cases/{SHOWN}/{form}"' not in page.text


async def test_a_case_shows_whom_it_waits_for_and_who_received_a_letter() -> None:
    page = await browser_at(Routing()).get(f"/city/cases/{SHOWN}")

    assert "UPTD <PPA> Kabupaten waits for the receipt" in page.shown_text
    assert "<PPA>" not in page.text
    assert "The receipt is due:" in page.shown_text
    assert "at 12.00 WIB" in page.shown_text
    assert "Received by Hestrud Quamiral, Kepala, 28 November 2026." in page.shown_text
    # Only what waits can be acknowledged or withdrawn.
    assert [f"/receipts/{one}" in page.text for one in (WAITING, DONE)] == [True, False]
    assert [f"/withdrawals/{one}" in page.text for one in (WAITING, DONE)] == [True, False]


async def test_who_decides_nothing_reads_that_a_letter_waits_but_no_form() -> None:
    responder = User(
        id=UUID(int=3), name="Wiji Rekaan", language="en", memberships={AGENCY: Role.RESPONDER}, city_roles={}
    )
    routing = Routing()
    routing.case["transfers"] = [one | {"waits_for": "", "acknowledged_by": None} for one in TRANSFERS]

    page = await browser_at(routing, responder).get(f"/city/cases/{SHOWN}?acting={AGENCY}")

    assert page.status == 200
    assert "R-7K3Q2M waits for the receipt" in page.shown_text
    assert not [one for one in ("/receipts/", "/withdrawals/", "/letter", f"{SHOWN}/transfers") if one in page.text]


@pytest.mark.parametrize(("case_id", "status"), [(SHOWN, 200), (HIDDEN, 404)])
async def test_the_letter_is_text_and_kept_from_who_is_excluded(case_id: UUID, status: int) -> None:
    page = await browser_at(Routing()).get(f"/city/cases/{case_id}/transfers/{WAITING}/letter")

    assert page.status == status
    if status == 200:
        assert page.text == "Pelimpahan en <R-7K3Q2M>"
        assert dict(page.headers)["content-type"].startswith("text/plain")

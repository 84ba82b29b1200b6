"""The form of a consent becomes what routing records; only people who may record consents see the page."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI
from starlette.datastructures import FormData, UploadFile

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.city_pages.consents import FormIncomplete, add_consent_pages, read_consent
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.live import LiveChannels
from simpul_desk.service_api import ServiceRefused
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

CASE = UUID(int=2)
WIB = ZoneInfo("Asia/Jakarta")
CHOSEN: list[tuple[str, UploadFile | str]] = [
    ("purposes", "education"), ("purposes", "social_aid"), ("given_by", "guardian"), ("relation", "relative"),
    ("way", "phone"), ("text", "2026-11"), ("language", "jv"), ("given_at", "2026-11-26T08:30"), ("reason", "x"),
]  # fmt: skip
HOSPITAL = "rs-rujukan"


def without(name: str) -> FormData:
    return FormData([one for one in CHOSEN if one[0] != name])


def test_the_form_of_a_consent_is_read_in_the_time_of_the_city() -> None:
    assert read_consent(FormData(CHOSEN), WIB) == {
        "purposes": ["education", "social_aid"],
        "given_by": "guardian",
        "relation": "relative",
        "way": "phone",
        "text": "2026-11",
        "language": "jv",
        "given_at": "2026-11-26T08:30:00+07:00",
        "reason": "x",
    }
    assert read_consent(without("given_at"), WIB)["given_at"] is None
    assert read_consent(without("relation"), WIB)["relation"] == "unknown"


@pytest.mark.parametrize("name", ["purposes", "given_by", "way", "text", "language"])
def test_a_consent_without_who_what_or_how_is_no_record(name: str) -> None:
    with pytest.raises(FormIncomplete):
        read_consent(without(name), WIB)


def test_a_time_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(FormIncomplete):
        read_consent(FormData([*CHOSEN[:-2], ("given_at", "kemarin")]), WIB)


class Routing:
    """Knows one case, and refuses every change."""

    async def get(self, _: object, path: str, **__: Any) -> Any:
        answers: dict[str, Any] = {
            f"/cases/{CASE}": {"case_id": str(CASE), "reference": "K-2", "rights": {"education": {}}, "ended_at": None},
            f"/cases/{CASE}/consents": [],
            f"/cases/{CASE}/consent-givers": {"needs_assent": True, "refused_guardians": ["parent", "step_parent"]},
            "/consent-texts": {"2026-11": {"id": "Apakah Anda setuju?", "jv": "Punapa sarujuk?"}},
        }
        return SimpleNamespace(content=answers[path], version='"2"')

    async def call(self, *_: object, **__: object) -> None:
        raise ServiceRefused(
            409, {"code": "consent_from_suspect", "messages": {"en": "It may be the suspect.", "id": "Mungkin pelaku."}}
        )


def browser_of(user: User) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    web, service, routing = FastAPI(), SimpleNamespace(engine=None), Routing()
    web.state.find_user = find_user
    add_consent_pages(web, CityPages(service, CITY, LiveChannels(), routing))  # type: ignore[arg-type]  # what is used
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def person(role: Role, excluded: frozenset[UUID] = frozenset(), language: str = "en") -> User:
    return User(
        id=UUID(int=1),
        name="Wiji Rekaan",
        language=language,
        memberships={HOSPITAL: role},
        city_roles={},
        excluded_cases=excluded,
    )


@pytest.mark.parametrize(
    ("user", "status"),
    [
        (person(Role.AGENCY_LEAD), 200),
        (person(Role.RESPONDER), 404),
        (person(Role.AGENCY_LEAD, frozenset({CASE})), 404),
    ],
)
async def test_consents_are_for_who_may_record_them(user: User, status: int) -> None:
    browser, address = browser_of(user), f"/city/cases/{CASE}/consents?acting={HOSPITAL}"
    fields = {"acting": HOSPITAL, FORM_FIELD: form_token_of("secret")}

    page = await browser.get(address)
    assert page.status == status
    if status == 404:
        assert [(await browser.post(f"/city/cases/{CASE}/{one}", fields)).status for one in ("consents",)] == [404]
    else:
        assert "Do not ask these guardians, because they may be the suspect: Parent, Step-parent." in page.shown_text
        assert "together with the child's own" in page.shown_text


async def test_the_child_as_giver_is_not_a_child_of_ones_own() -> None:
    browser = browser_of(person(Role.AGENCY_LEAD, language="id"))

    page = await browser.get(f"/city/cases/{CASE}/consents?acting={HOSPITAL}")

    assert "anak itu sendiri" in page.shown_text.lower()


async def test_a_refused_consent_is_explained_and_stays_typed() -> None:
    browser = browser_of(person(Role.AGENCY_LEAD))
    fields = {"acting": HOSPITAL, FORM_FIELD: form_token_of("secret"), **{name: str(value) for name, value in CHOSEN}}

    page = await browser.post(f"/city/cases/{CASE}/consents", fields)

    assert page.status == 409
    assert "It may be the suspect." in page.shown_text
    assert 'value="2026-11-26T08:30"' in page.text
    assert 'id="way-phone" checked' in page.text

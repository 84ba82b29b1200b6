"""A route of the desk answers people who are signed in, with the right role, and forms of this site."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Request, Response

from simpul_desk.access import CurrentUser, Role, User, guest_form, require
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import GUEST_COOKIE, SESSION_COOKIE, add_access_errors, local_target
from simpul_desk.account_pages.refusals import render_refusal
from simpul_desk.assets import asset_url
from simpul_desk.rendering import render
from simpul_runtime.failure_responses import PAGE_POLICY, FailureResponses
from simpul_runtime.failures import Failure, FailureCode
from tests.support.asgi_browser import AsgiBrowser

SECRET = "secret-of-a-session"
RESPONDER = User(
    id=UUID(int=1), name="Wiji Rekaan", language="id", memberships={"rs-rujukan": Role.RESPONDER}, city_roles={}
)


def an_app(user: User | None = RESPONDER) -> FastAPI:
    """An application with a page for everybody, one for coordinators, and one for guests."""
    web = FastAPI(openapi_url=None)

    async def find_user(secret: str, _: datetime) -> User | None:
        return user if secret == SECRET else None

    web.state.find_user = find_user
    add_access_errors(web, render_refusal)

    @web.api_route("/all", methods=["GET", "POST"])
    async def page_for_all(request: Request, user: CurrentUser) -> Response:
        return render(request, "refusal.html", title="All", explanation=user.name)

    @web.api_route("/coordinators", methods=["GET", "POST"])
    async def page_for_coordinators(user: Annotated[User, Depends(require(Role.COORDINATOR))]) -> str:
        return user.name

    @web.api_route("/guests", methods=["GET", "POST"], dependencies=[Depends(guest_form)])
    async def page_for_guests(request: Request) -> Response:
        return render(request, "refusal.html", title="Guests", explanation="")

    return web


def a_browser(user: User | None = RESPONDER, cookies: Mapping[str, str] | None = None) -> AsgiBrowser:
    return AsgiBrowser(an_app(user), cookies=dict(cookies if cookies is not None else {SESSION_COOKIE: SECRET}))


async def test_a_stranger_is_led_to_the_login_and_back() -> None:
    page = await a_browser(cookies={}).get("/all?state=open")

    assert (page.status, page.location) == (303, "/login?next=%2Fall%3Fstate%3Dopen")


async def test_a_form_of_a_stranger_leads_to_the_login_without_a_way_back() -> None:
    page = await a_browser(cookies={}).post("/all", {"x": "y"})

    assert (page.status, page.location) == (303, "/login")


async def test_a_program_of_a_stranger_is_refused() -> None:
    page = await a_browser(cookies={}).get("/all", accept="application/json")

    assert (page.status, "not_signed_in" in page.text) == (401, True)


async def test_a_script_of_a_page_is_led_to_the_login() -> None:
    page = await a_browser(cookies={}).get("/all", hx_request="true")

    assert (page.status, page.header("hx-redirect")) == (401, "/login")


async def test_a_page_for_another_role_answers_as_one_that_does_not_exist() -> None:
    browser = a_browser()

    refused, unknown = await browser.get("/coordinators"), await browser.get("/nowhere")

    assert (refused.status, refused.text, refused.headers) == (unknown.status, unknown.text, unknown.headers)
    assert refused.status == 404


async def test_a_role_for_the_city_opens_its_page() -> None:
    coordinator = replace(RESPONDER, memberships={}, city_roles={Role.COORDINATOR: "uptd-ppa"})

    assert (await a_browser(coordinator).get("/coordinators")).status == 200


@pytest.mark.parametrize(
    ("fields", "headers", "status"),
    [
        ({"form_token": form_token_of(SECRET)}, {}, 200),
        ({}, {"x_form_token": form_token_of(SECRET)}, 200),
        ({"form_token": form_token_of(SECRET)}, {"sec_fetch_site": "same-origin"}, 200),
        ({"form_token": form_token_of(SECRET)}, {"sec_fetch_site": "cross-site"}, 403),
        ({"form_token": form_token_of(SECRET)}, {"sec_fetch_site": "same-site"}, 403),
        ({"form_token": form_token_of("another session")}, {}, 403),
        ({"form_token": "é"}, {}, 403),
        ({"other": "field"}, {}, 403),
    ],
)  # fmt: skip
async def test_only_a_form_of_this_session_and_site_is_taken(
    fields: dict[str, str], headers: dict[str, str], status: int
) -> None:
    assert (await a_browser().post("/all", fields, **headers)).status == status


async def test_a_form_that_is_refused_says_what_to_do_in_the_language_of_the_person() -> None:
    page = await a_browser().post("/all", {"other": "field"})

    assert "Formulir ini sudah kedaluwarsa" in page.shown_text


async def test_a_guest_gets_a_cookie_that_binds_their_form_to_their_browser() -> None:
    browser, other = a_browser(cookies={}), a_browser(cookies={})
    page = await browser.get("/guests")
    await other.get("/guests")

    token = form_token_of(browser.cookies[GUEST_COOKIE])
    assert (await browser.post("/guests", {"form_token": token})).status == 200
    assert (await other.post("/guests", {"form_token": token})).status == 403
    cookie = page.header("set-cookie")
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(cookie.lower().split("; "))
    assert "domain" not in cookie.lower()


async def test_a_page_allows_no_inline_code_and_no_other_host() -> None:
    policy = (await a_browser().get("/all")).header("content-security-policy")

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_every_page_makes_itself_an_ordinary_entry_of_the_history_before_it_loads_more() -> None:
    page = (await a_browser().get("/all")).text

    first = re.findall(r'<(?:script|link)\b[^>]*(?:src|href)="([^"]+)"', page)[0]
    assert first == asset_url("history.js")
    assert f'<script src="{first}"></script>' in page


async def test_the_page_of_a_failure_loads_the_script_of_the_service_and_no_other() -> None:
    web = FastAPI(openapi_url=None)
    failures = FailureResponses([], page_script=asset_url("history.js"))

    @web.post("/failing")
    async def fail(request: Request) -> Response:
        return failures.respond(request, Failure(FailureCode.UNEXPECTED, 500))

    page = await AsgiBrowser(web).post("/failing")
    usual = await a_browser().get("/all")

    assert re.findall(r"<script\b[^>]*>", page.text) == [f'<script src="{asset_url("history.js")}">']
    assert page.header("content-security-policy") == f"{PAGE_POLICY}; script-src 'self'"
    assert page.header("cross-origin-opener-policy") == usual.header("cross-origin-opener-policy") == "same-origin"


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/cases/1?tab=2", "/cases/1?tab=2"), ("", "/"), ("https://evil.example/", "/"), ("//evil.example", "/"),
        ("/\\evil.example", "/"), ("/a\nb", "/"), ("javascript:alert(1)", "/"),
    ],
)  # fmt: skip
def test_a_login_leads_to_a_page_of_this_site_only(wanted: str, target: str) -> None:
    assert local_target(wanted) == target

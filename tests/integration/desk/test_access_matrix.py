"""Every route of the desk in the hands of a stranger and of each role: a generated matrix of role, page, method.

What is not for somebody answers as what does not exist.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import SecretStr

from simpul_cli.keys import directory_file, key_file
from simpul_desk.access import CITY_ROLES, Requirement, Role
from simpul_desk.access.web import SESSION_COOKIE, GuestForm
from simpul_desk.app import build
from simpul_desk.settings import DeskSettings
from simpul_dev.local_city import LocalCity
from tests.support.asgi_browser import AsgiBrowser, Page
from tests.support.desk import sign_in

PUBLIC = {"/health/live", "/health/ready", "/audit/head", "/favicon.ico", "/static/{digest}/{name}", "/docs"}
"""Routes that ask nobody who they are: for operators, witnesses, and what a browser loads for every page."""
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Question:
    """A route with one of its methods."""

    path: str
    method: str
    requirement: Requirement | None
    """Who may use it; None for a page of people who are not signed in yet."""

    @property
    def target(self) -> str:
        """An address of the route, with ids of nothing."""
        return re.sub(r"\{[^}]+\}", lambda _: str(uuid4()), self.path)

    def is_for(self, role: Role) -> bool:
        """Whether people in the role may use it."""
        return self.requirement is not None and role in self.requirement.roles


def calls_of(dependant: Dependant) -> Iterator[object]:
    """Yields everything that a route depends on."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from calls_of(dependency)


def list_questions(web: FastAPI) -> list[Question]:
    """Lists every route with each of its methods; fails for a route that says not once who may use it."""
    found, undeclared = [], []
    for route in web.routes:
        if not isinstance(route, APIRoute) or route.path in PUBLIC or route.path.startswith("/docs"):
            continue
        calls = set(calls_of(route.dependant))
        requirements = [call for call in calls if isinstance(call, Requirement)]
        is_for_guests = any(isinstance(call, GuestForm) for call in calls)
        if len(requirements) + is_for_guests != 1:
            undeclared.append(route.path)
        requirement = requirements[0] if requirements else None
        found += [Question(route.path, method, requirement) for method in sorted(route.methods or ())]
    assert undeclared == []
    return found


@pytest.fixture
def web(city: LocalCity, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The desk's whole application, without its background tasks."""
    # The tests' own logging stays as it is.
    monkeypatch.setattr("simpul_runtime.service.configure_logging", lambda *_: None)
    settings = DeskSettings(
        database_url=SecretStr(city.database_url("desk")),
        amqp_url=SecretStr(city.backends.amqp_url),
        key_file=key_file(city.keys, "desk"),
        directory_file=directory_file(city.keys),
        city_dir=city.city_dir,
        routing_url=city.url("routing"),
        intake_url=city.url("intake"),
        oidc_issuer="http://127.0.0.1:9",
    )
    return build(settings)[1]


def shape(page: Page) -> tuple[int, str, tuple[str, ...]]:
    """What somebody can learn from an answer."""
    return page.status, page.text, tuple(name for name, _ in page.headers)


async def browser_of(web: FastAPI, city: LocalCity, role: Role) -> AsgiBrowser:
    """Returns a browser in which an invented person with one role is signed in."""
    if role in CITY_ROLES:
        person = await sign_in(city.database_url("desk"), city_roles={role: "uptd-ppa"})
    else:
        person = await sign_in(city.database_url("desk"), {"rs-rujukan": role})
    return AsgiBrowser(web, cookies={SESSION_COOKIE: person.secret})


async def test_every_route_says_who_may_use_it(web: FastAPI) -> None:
    questions = list_questions(web)

    assert {one.path for one in questions} >= {"/", "/login", "/account", "/members", "/invitation/{secret}"}
    assert {one.path for one in questions if one.requirement is None} <= {
        "/login",
        "/login/code",
        "/login/authenticator",
        "/login/recovery-code",
        "/login/passkey",
        "/login/passkey/options",
        "/login/provider",
        "/login/provider/callback",
        "/invitation/{secret}",
        "/paper",
    }


async def test_a_stranger_is_led_to_the_login_by_every_route(web: FastAPI) -> None:
    answers = {
        (one.path, one.method): await AsgiBrowser(web).send(one.method, one.target)
        for one in list_questions(web)
        if one.requirement
    }

    assert {page.status for page in answers.values()} == {303}
    assert {page.location.partition("?")[0] for page in answers.values()} == {"/login"}


@pytest.mark.parametrize("role", list(Role))
async def test_what_is_not_for_a_role_does_not_exist_for_it(web: FastAPI, city: LocalCity, role: Role) -> None:
    browser = await browser_of(web, city, role)
    unknown = {method: shape(await browser.send(method, "/nowhere/at-all")) for method in ("GET", *UNSAFE)}

    for one in list_questions(web):
        if one.requirement and not one.is_for(role):
            assert shape(await browser.send(one.method, one.target)) == unknown[one.method], (one.path, one.method)


@pytest.mark.parametrize("role", list(Role))
async def test_a_form_of_another_site_changes_nothing(web: FastAPI, city: LocalCity, role: Role) -> None:
    browser = await browser_of(web, city, role)
    changing = [
        one for one in list_questions(web) if one.method in UNSAFE and (one.requirement is None or one.is_for(role))
    ]

    answers = [(await browser.post(one.target, {"agency": "rs-rujukan", "role": "responder"})) for one in changing]

    assert len(answers) >= 4
    assert {page.status for page in answers} == {403}


async def test_the_address_of_a_form_leads_to_a_page_whoever_loads_it_again(web: FastAPI) -> None:
    questions, stranger = list_questions(web), AsgiBrowser(web)
    opened = {one.path for one in questions if one.method == "GET"}
    forms = {one.path for one in questions if one.method == "POST"} - opened
    number = str(uuid4())

    answers = {path: await stranger.get(re.sub(r"\{[^}]+\}", number, path) + "?acting=1") for path in forms}

    assert {path: page.status for path, page in answers.items() if page.status != 303} == {}
    led = {path: page.location.replace(number, "{}").removesuffix("?acting=1") for path, page in answers.items()}
    assert set(led.values()) <= {re.sub(r"\{[^}]+\}", "{}", path) for path in opened}
    assert led["/work/{agency}/{referral_id}/note"] == "/work/{}/{}"
    assert led["/city/cases/{case_id}/offer"] == "/city/cases/{}"
    assert led["/questions/{question_id}"] == "/questions"
    assert led["/report/filed/{case_id}/receipt"] == "/report/filed"


async def test_a_program_learns_that_an_address_takes_no_other_method(web: FastAPI) -> None:
    address, stranger = f"/questions/{uuid4()}", AsgiBrowser(web)

    answers = [await stranger.get(address, accept="application/json"), await stranger.send("PUT", address)]

    assert [(one.status, one.header("allow")) for one in answers] == [(405, "POST")] * 2

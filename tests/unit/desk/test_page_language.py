"""The language that somebody chooses at the foot of a page lasts, and the choice loses nothing."""

from uuid import UUID

import pytest
from fastapi import FastAPI, Request, Response

from simpul_desk.access import CurrentUser, Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.rendering import LANGUAGE_COOKIE, page_language, render
from tests.support.asgi_browser import AsgiBrowser


@pytest.fixture
def desk() -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return User(UUID(int=1), "Wiji Rekaan", "id", {"ylpa": Role.RESPONDER}, {})

    web = FastAPI()
    web.state.find_user = find_user

    @web.get("/page")
    @web.post("/page")
    async def page(request: Request, user: CurrentUser) -> Response:
        return render(request, "work/closed.html", language=page_language(request))

    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


async def test_a_chosen_language_lasts_over_pages(desk: AsgiBrowser) -> None:
    first = await desk.get("/page")
    chosen = await desk.get("/page?lang=en")
    later = await desk.get("/page")
    back = await desk.get("/page?lang=id")

    assert ['lang="id"' in page.text[:300] for page in (first, chosen, later, back)] == [True, False, False, True]
    assert desk.cookies[LANGUAGE_COOKIE] == "id"


async def test_a_language_that_does_not_exist_changes_nothing(desk: AsgiBrowser) -> None:
    assert 'lang="id"' in (await desk.get("/page?lang=xx")).text[:300]
    assert LANGUAGE_COOKIE not in desk.cookies


async def test_the_link_keeps_the_rest_of_the_address_and_is_left_out_below_an_answer(desk: AsgiBrowser) -> None:
    shown = await desk.get("/page?code=7K3Q&shown=50")
    answered = await desk.post("/page", {FORM_FIELD: form_token_of("secret")})

    assert 'href="?code=7K3Q&amp;shown=50&amp;lang=en"' in shown.text
    assert 'hreflang="en"' not in answered.text

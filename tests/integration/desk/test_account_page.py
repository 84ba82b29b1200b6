"""A person looks after their own account: sessions, password, language."""

import re
from uuid import uuid4

from simpul_desk.access.web import SESSION_COOKIE
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import PASSWORD, Desk
from tests.support.asgi_browser import AsgiBrowser

NEW = "delapan perahu menyeberang"


async def sign_in_again(desk: Desk, login_name: str) -> AsgiBrowser:
    browser = desk.browser("192.0.2.9")
    await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})
    await browser.submit("/login/code", {"code": await desk.renew_code(login_name)})
    return browser


async def test_sessions_are_listed_and_one_is_ended(desk: Desk) -> None:
    login_name, first = await desk.join()
    second = await sign_in_again(desk, login_name)

    page = await first.get("/account")
    (target,) = re.findall(r'action="(/account/sessions/[\w-]+/end)"', page.text)
    ended = await first.post(target, {"form_token": page.form_token})

    assert ended.status == 303
    assert (await second.get("/account")).status == 303
    assert (await first.get("/account")).status == 200


async def test_nobody_ends_the_session_of_another_person(desk: Desk) -> None:
    login_name, first = await desk.join()
    _, other = await desk.join()
    user = await desk.sign_in.find_user(first.cookies[SESSION_COOKIE], utc_now())
    assert user

    theirs = await other.submit(f"/account/sessions/{user.session_id}/end", on="/account")
    unknown = await other.submit(f"/account/sessions/{uuid4()}/end", on="/account")

    assert (theirs.status, theirs.text) == (unknown.status, unknown.text)
    assert (await first.get("/account")).status == 200
    assert login_name


async def test_all_other_sessions_end_together(desk: Desk) -> None:
    login_name, first = await desk.join()
    others = [await sign_in_again(desk, login_name) for _ in range(2)]

    await first.submit("/account/sessions/end", on="/account")

    assert [(await browser.get("/account")).status for browser in (first, *others)] == [200, 303, 303]


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(desk: Desk) -> None:
    login_name, first = await desk.join()
    second = await sign_in_again(desk, login_name)

    wrong = await first.submit("/account/password", {"current_password": NEW, "password": NEW}, on="/account")
    weak = await first.submit(
        "/account/password", {"current_password": PASSWORD, "password": "password1234"}, on="/account"
    )
    kept = (await second.get("/account")).status
    done = await first.submit("/account/password", {"current_password": PASSWORD, "password": NEW}, on="/account")

    assert ("current password is not right" in wrong.shown_text, "guessed quickly" in weak.shown_text) == (True, True)
    assert (kept, (await second.get("/account")).status, done.status) == (200, 303, 200)
    browser = desk.browser("192.0.2.11")
    assert (await browser.submit("/login", {"login_name": login_name, "password": NEW})).status == 303


async def test_the_language_of_the_pages_is_the_persons(desk: Desk) -> None:
    _, browser = await desk.join()

    await browser.submit("/account/language", {"language": "id"}, on="/account")

    page = await browser.get("/account")
    assert '<html lang="id"' in page.text
    assert "Tempat Anda sedang masuk" in page.shown_text

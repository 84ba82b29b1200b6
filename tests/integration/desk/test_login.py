"""People sign in with a password and an authenticator; whoever guesses waits, and makes nobody else wait for long."""

from datetime import timedelta

import pytest
from pyotp import TOTP
from sqlalchemy import text

from simpul_desk.access.client import Client
from simpul_desk.access.errors import CodeWrong, LoginBlocked, LoginRefused, SessionEnded
from simpul_desk.access.login_limits import PER_ACCOUNT, PER_NETWORK, PER_PAIR
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.account_pages.cookies import DEVICE_COOKIE
from simpul_runtime.audit import verify_audit
from simpul_runtime.database import utc_now
from tests.integration.desk.conftest import PASSWORD, Desk

WRONG = "bukan sandi yang benar"


async def test_an_invited_person_chooses_a_password_adds_an_authenticator_and_is_signed_in(desk: Desk) -> None:
    login_name, secret = await desk.invite()
    browser = desk.browser()

    chosen = await browser.submit(f"/invitation/{secret}", {"password": PASSWORD})
    page = await browser.get(chosen.location)
    key = page.shown_text.partition("type this key instead: ")[2][:39].replace(" ", "")
    wrong = await browser.submit(chosen.location, {"code": "000000"})
    finished = await browser.submit(chosen.location, {"code": TOTP(key).now()})

    assert (chosen.location, wrong.status, finished.location) == ("/login/authenticator", 401, "/")
    assert "<svg" in page.text
    assert (await browser.get("/account")).status == 200
    account_id = await desk.account_of(login_name)
    assert [entry.action for entry in await desk.entries_about(account_id)] == [
        "account.invited",
        "account.password_set",
        "account.authenticator_added",
        "login",
    ]
    async with desk.engine.connect() as connection:
        assert (await verify_audit(connection)).problems == ()


async def test_a_link_is_good_once_and_the_key_is_stored_encrypted(desk: Desk) -> None:
    login_name, secret = await desk.invite()
    browser = desk.browser()
    await browser.submit(f"/invitation/{secret}", {"password": PASSWORD})

    again = await browser.get(f"/invitation/{secret}")
    unknown = await browser.get("/invitation/of-nobody")

    assert (again.status, again.text) == (unknown.status, unknown.text)
    assert again.status == 404
    signed_in, _ = await desk.join()
    async with desk.engine.connect() as connection:
        row = (
            await connection.execute(
                text("SELECT password_hash, totp_secret FROM account WHERE login_name = :name"), {"name": signed_in}
            )
        ).one()
    assert row.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert desk.keys_of_people[signed_in].encode() not in row.totp_secret
    assert login_name != signed_in


async def test_a_link_ends_after_a_week(desk: Desk) -> None:
    _, secret = await desk.invite()
    async with desk.engine.begin() as connection:
        await connection.execute(text("UPDATE one_time_link SET expires_at = now()"))

    assert (await desk.browser().get(f"/invitation/{secret}")).status == 404


async def test_a_person_signs_in_with_password_and_code_and_is_led_back(desk: Desk) -> None:
    login_name, _ = await desk.join()
    browser = desk.browser()

    sent = await browser.submit(
        "/login", {"login_name": login_name.upper(), "password": PASSWORD, "next": "/account"}, on="/login"
    )
    halfway = await browser.get("/account")
    before = browser.cookies[SESSION_COOKIE]
    done = await browser.submit(sent.location, {"code": await desk.renew_code(login_name), "next": "/account"})

    assert sent.location == "/login/code?next=%2Faccount"
    assert (halfway.status, halfway.location) == (303, "/login?next=%2Faccount")
    assert done.location == "/account"
    assert browser.cookies[SESSION_COOKIE] != before
    assert (await browser.get("/account")).status == 200


async def test_the_cookie_of_a_session_is_kept_from_scripts_and_other_hosts(desk: Desk) -> None:
    login_name, _ = await desk.join()
    browser = desk.browser()
    await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})
    page = await browser.submit("/login/code", {"code": await desk.renew_code(login_name)})

    cookies = [value for name, value in page.headers if name == "set-cookie"]
    assert {cookie.partition("=")[0] for cookie in cookies} == {SESSION_COOKIE, DEVICE_COOKIE}
    for cookie in cookies:
        attributes = set(cookie.lower().split("; ")[1:])
        assert attributes >= {"secure", "httponly", "path=/", "samesite=lax"}
        assert not any(attribute.startswith("domain") for attribute in attributes)


async def test_a_code_is_good_once(desk: Desk) -> None:
    login_name, _ = await desk.join()
    code = await desk.renew_code(login_name)
    first, second = desk.browser(), desk.browser()
    for browser in (first, second):
        await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})

    used = await first.submit("/login/code", {"code": code})
    again = await second.submit("/login/code", {"code": code})

    assert (used.status, again.status) == (303, 401)
    assert "used already" in again.shown_text


async def test_an_unknown_account_and_a_wrong_password_get_one_answer(desk: Desk) -> None:
    login_name, _ = await desk.join()
    pages = []
    for name, address in ((login_name, "203.0.113.20"), ("nobody-at-all", "203.0.113.21")):
        browser = desk.browser(address)
        page = await browser.submit("/login", {"login_name": name, "password": WRONG})
        pages.append((page.status, page.text.replace(name, "").replace(browser.cookies["__Host-simpul-guest"], "")))

    known, unknown = ((status, text.partition("form_token")[0]) for status, text in pages)
    assert known == unknown
    assert known[0] == 401


async def test_an_invited_person_without_a_password_cannot_sign_in(desk: Desk) -> None:
    login_name, _ = await desk.invite()

    with pytest.raises(LoginRefused):
        await desk.sign_in.check_password(login_name, "", Client("203.0.113.22"), utc_now())


async def test_after_wrong_codes_the_login_begins_with_the_password(desk: Desk) -> None:
    login_name, _ = await desk.join()
    browser = desk.browser("203.0.113.30")
    await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})

    answers = [(await browser.submit("/login/code", {"code": "000000"}, on="/login")).status for _ in range(5)]
    later, secret = utc_now() + timedelta(minutes=1), browser.cookies[SESSION_COOKIE]
    with pytest.raises(CodeWrong):
        await desk.sign_in.check_code(secret, "000000", Client("203.0.113.30"), later)

    assert answers == [401] * 4 + [429]
    with pytest.raises(SessionEnded):
        await desk.sign_in.check_code(secret, await desk.renew_code(login_name), Client("203.0.113.31"), later)
    entries = await desk.entries_about(await desk.account_of(login_name))
    assert [entry.detail for entry in entries if entry.action == "login.failed"] == ["code"] * 5


async def guess(desk: Desk, login_name: str, address: str, *, device: str = "") -> bool:
    """Tries a wrong password; False when the attempt had to wait."""
    try:
        await desk.sign_in.check_password(login_name, WRONG, Client(address, device_secret=device), utc_now())
    except LoginBlocked:
        return False
    except LoginRefused:
        return True
    raise AssertionError


async def test_who_guesses_has_to_wait_and_an_account_that_does_not_exist_waits_alike(desk: Desk) -> None:
    login_name, _ = await desk.join()

    known = [await guess(desk, login_name, "198.51.100.1") for _ in range(PER_PAIR.free + 1)]
    unknown = [await guess(desk, "nobody-here", "198.51.100.2") for _ in range(PER_PAIR.free + 1)]

    assert known == unknown == [True] * PER_PAIR.free + [False]
    with pytest.raises(LoginBlocked):
        await desk.sign_in.check_password(login_name, PASSWORD, Client("198.51.100.1"), utc_now())


async def test_guesses_of_a_stranger_never_make_a_known_browser_wait(desk: Desk) -> None:
    login_name, browser = await desk.join()
    for _ in range(PER_PAIR.free + 1):
        await guess(desk, login_name, "203.0.113.7")

    known = Client("203.0.113.7", device_secret=browser.cookies[DEVICE_COOKIE])
    assert await desk.sign_in.check_password(login_name, PASSWORD, known, utc_now())


async def test_a_new_browser_elsewhere_never_waits_for_more_than_a_minute(desk: Desk) -> None:
    login_name, _ = await desk.join()
    for each in range(PER_ACCOUNT.free + 3):
        await guess(desk, login_name, f"198.51.100.{10 + each // (PER_PAIR.free - 1)}")

    with pytest.raises(LoginBlocked) as blocked:
        await desk.sign_in.check_password(login_name, PASSWORD, Client("192.0.2.1"), utc_now())

    assert blocked.value.wait <= timedelta(minutes=1)
    later = utc_now() + blocked.value.wait
    assert await desk.sign_in.check_password(login_name, PASSWORD, Client("192.0.2.1"), later)


async def test_a_network_that_tries_many_accounts_waits(desk: Desk) -> None:
    tried = [await guess(desk, f"nobody-{each}", "198.51.100.200") for each in range(PER_NETWORK.free + 1)]

    assert tried == [True] * PER_NETWORK.free + [False]


async def test_a_login_that_succeeds_is_not_counted(desk: Desk) -> None:
    login_name, _ = await desk.join()
    for _ in range(PER_PAIR.free + 2):
        browser = desk.browser("203.0.113.40")
        await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})
        done = await browser.submit("/login/code", {"code": await desk.renew_code(login_name)})
        assert done.status == 303


async def test_who_signs_out_is_nobody(desk: Desk) -> None:
    _, browser = await desk.join()
    secret = browser.cookies[SESSION_COOKIE]

    page = await browser.submit("/logout", on="/account")

    assert (page.status, page.location) == (303, "/login")
    assert SESSION_COOKIE not in browser.cookies
    assert await desk.sign_in.find_user(secret, utc_now()) is None

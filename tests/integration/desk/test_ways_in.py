"""People change how they sign in: another authenticator, codes on paper, the city's own accounts."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest
from fastapi import FastAPI
from pyotp import TOTP

from simpul_desk.access.passkeys import Passkeys
from simpul_desk.access.provider import Provider, ProviderSettings
from simpul_desk.account_pages import Access, add_access
from tests.integration.desk.conftest import PASSWORD, Desk
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser
from tests.support.ledger import eventually

WAYS_IN = "/account/sign-in"
AUTHENTICATOR = f"{WAYS_IN}/authenticator"


async def begin_login(desk: Desk, login_name: str) -> AsgiBrowser:
    """Signs in as far as the second factor."""
    browser = desk.browser("192.0.2.9")
    await browser.submit("/login", {"login_name": login_name, "password": PASSWORD})
    return browser


async def test_a_new_authenticator_replaces_the_old_one_and_ends_other_sessions(desk: Desk) -> None:
    login_name, browser = await desk.join()
    old, other = desk.keys_of_people[login_name], await begin_login(desk, login_name)
    await other.submit("/login/code", {"code": await desk.renew_code(login_name)})
    page = await browser.get(AUTHENTICATOR)
    key = page.shown_text.partition("type this key instead: ")[2][:39].replace(" ", "")

    wrong = await browser.submit(AUTHENTICATOR, {"current_password": "bukan", "code": TOTP(key).now()})
    mistyped = await browser.submit(AUTHENTICATOR, {"current_password": PASSWORD, "code": TOTP(old).now()})
    before = (await other.get("/account")).status
    done = await browser.submit(AUTHENTICATOR, {"current_password": PASSWORD, "code": TOTP(key).now()})

    assert (wrong.status, mistyped.status, before, done.location) == (422, 422, 200, WAYS_IN)
    assert ((await browser.get("/account")).status, (await other.get("/account")).status) == (200, 303)
    desk.keys_of_people[login_name] = key
    again = await begin_login(desk, login_name)
    assert (await again.submit("/login/code", {"code": TOTP(old).now()})).status == 401
    assert (await again.submit("/login/code", {"code": await desk.renew_code(login_name)})).status == 303
    assert key not in (await browser.get(AUTHENTICATOR)).shown_text.replace(" ", "")


async def test_a_code_on_paper_replaces_the_phone_once(desk: Desk) -> None:
    login_name, browser = await desk.join()
    refused = await browser.submit(f"{WAYS_IN}/codes", {"codes_password": "bukan"}, on=WAYS_IN)
    shown = await browser.submit(f"{WAYS_IN}/codes", {"codes_password": PASSWORD}, on=WAYS_IN)
    codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", shown.text)
    first, second = [await begin_login(desk, login_name) for _ in range(2)]

    used = await first.submit("/login/recovery-code", {"code": codes[0].upper()}, on="/login/code")
    again = await second.submit("/login/recovery-code", {"code": codes[0]}, on="/login/code")

    assert (refused.status, len(set(codes)), used.status, again.status) == (422, 8, 303, 401)
    assert (await first.get("/account")).status == 200
    assert "You have 7 codes left" in (await first.get(WAYS_IN)).shown_text
    actions = [entry.action for entry in await desk.entries_about(await desk.account_of(login_name))]
    assert [action for action in actions if "recovery_code" in action] == [
        "account.recovery_codes_renewed",
        "account.recovery_code_used",
    ]


@pytest.fixture
def issuer() -> Iterator[str]:
    """The address of an OpenID Connect provider in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("oidc-provider-mock")
    process = subprocess.Popen(
        [program, f"--port={port}", "--require-registration=False", "--require-nonce=True"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def consent(address: str, subject: str) -> str:
    """Signs in at the provider as somebody; returns where the provider leads them."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data={"sub": subject}, allow_redirects=False) as answer,
    ):
        assert answer.status == 302, await answer.text()
        target = urlsplit(answer.headers["Location"])
        return f"{target.path}?{target.query}"


async def test_the_citys_account_replaces_the_password_and_not_the_code(desk: Desk, issuer: str) -> None:
    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{issuer}/.well-known/openid-configuration"):
                return True
        except aiohttp.ClientError:
            return False

    await eventually(answers, 60)
    settings = ProviderSettings(issuer, "Akun Kota", "simpul-desk", "rahasia-rekaan")
    passkeys = Passkeys(desk.transactions, desk.accounts, desk.sign_in)
    desk.web = FastAPI(openapi_url=None)
    add_access(desk.web, Access(desk.sign_in, desk.accounts, desk.members, passkeys, Provider(settings)), CITY)
    login_name, browser = await desk.join()
    subject = f"nip-{uuid4().hex[:8]}"

    stranger = desk.browser("192.0.2.30")
    sent = await stranger.get("/login/provider")
    unknown = await stranger.get(await consent(sent.location, subject))
    connecting = await browser.get(f"{WAYS_IN}/provider")
    answer = await consent(connecting.location, subject)
    foreign = await desk.browser("192.0.2.31").get(answer.replace(WAYS_IN + "/provider", "/login/provider"))
    connected = await browser.get(answer)
    again = desk.browser("192.0.2.32")
    sent = await again.get("/login/provider")
    proven = await again.get(await consent(sent.location, subject))
    halfway = await again.get("/account")
    done = await again.submit("/login/code", {"code": await desk.renew_code(login_name)})

    assert (unknown.status, foreign.status, connected.location) == (403, 502, WAYS_IN)
    assert (proven.location, halfway.status, done.status) == ("/login/code", 303, 303)
    assert "No account is connected" in unknown.shown_text
    assert "may sign in by Akun Kota" in (await browser.get(WAYS_IN)).shown_text
    await browser.submit(f"{WAYS_IN}/provider/remove", on=WAYS_IN)
    sent = await again.get("/login/provider")
    assert (await again.get(await consent(sent.location, subject))).status == 403


async def test_a_provider_that_does_not_answer_leaves_the_password(desk: Desk) -> None:
    silent = Provider(ProviderSettings("http://127.0.0.1:9", "Akun Kota", "simpul-desk", ""))
    passkeys = Passkeys(desk.transactions, desk.accounts, desk.sign_in)
    desk.web = FastAPI(openapi_url=None)
    add_access(desk.web, Access(desk.sign_in, desk.accounts, desk.members, passkeys, silent), CITY)

    page = await asyncio.wait_for(desk.browser().get("/login/provider"), 90)

    assert (page.status, "Sign in with your password instead" in page.shown_text) == (502, True)

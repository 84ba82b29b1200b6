"""A person's way in and out in a real browser: link, password, authenticator, start page; and nothing bars anybody."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect
from pyotp import TOTP

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import SHOTS
from tests.support.accessibility import find_barriers
from tests.support.desk import sign_in_browser

SIMPUL = str(Path(sys.executable).with_name("simpul"))
PASSWORD = "tujuh burung gereja terbang"


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 360, "height": 740}, locale="id-ID")
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def invite(city: LocalCity, login_name: str) -> str:
    """Invites an invented responder of the hospital as an operator does; returns the link."""
    done = subprocess.run(
        [SIMPUL, "desk", "invite", login_name, "--name=Wiji Rekaan", "--agency=rs-rujukan", "--role=responder"],
        env=os.environ
        | {
            "SIMPUL_DESK_URL": city.url("desk"),
            "SIMPUL_DATABASE_URL": city.database_url("desk"),
            "SIMPUL_CITY_DIR": str(city.city_dir),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def too_wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_an_invited_person_signs_in_starts_and_signs_out(city: LocalCity, phone: Page) -> None:
    login_name = f"wiji-{uuid4().hex[:8]}"
    barriers: list[str] = []
    widths: list[int] = []

    def check(name: str) -> None:
        phone.screenshot(path=SHOTS / f"account-{name}.png", full_page=True)
        barriers.extend(f"{name}: {one}" for one in find_barriers(phone))
        widths.append(too_wide(phone))

    phone.goto(invite(city, login_name))
    check("link")
    phone.get_by_label("Kata sandi", exact=True).fill("password1234")
    phone.get_by_role("button", name="Lanjutkan").click()
    expect(phone.get_by_role("alert")).to_contain_text("cepat ditebak")
    check("weak")
    phone.get_by_label("Kata sandi", exact=True).fill(PASSWORD)
    phone.get_by_role("button", name="Lanjutkan").click()
    expect(phone.get_by_role("heading", name="Siapkan aplikasi autentikator")).to_be_visible()
    check("authenticator")
    key = phone.locator("#authenticator-key").inner_text().replace(" ", "")
    phone.get_by_label("Enam angka").fill(TOTP(key).now())
    phone.get_by_role("button", name="Selesai").click()
    expect(phone.get_by_role("heading", name="Selamat datang")).to_be_visible()

    phone.goto(city.url("desk") + "/account")
    check("account")
    phone.get_by_role("button", name="Keluar").click()
    expect(phone.get_by_role("heading", name="Masuk")).to_be_visible()
    phone.goto(city.url("desk") + "/account")
    phone.get_by_label("Nama masuk").fill(login_name)
    phone.get_by_label("Kata sandi", exact=True).fill("bukan sandi yang benar")
    phone.get_by_role("button", name="Lanjutkan").click()
    expect(phone.get_by_role("alert")).to_contain_text("tidak benar")
    check("login")
    phone.get_by_label("Kata sandi", exact=True).fill(PASSWORD)
    phone.get_by_role("button", name="Lanjutkan").click()
    expect(phone.get_by_role("heading", name="Kode dari autentikator")).to_be_visible()
    check("code")

    assert barriers == []
    assert set(widths) == {0}


def test_a_lead_invites_by_keyboard_and_gets_a_link(city: LocalCity, browser: Browser) -> None:
    person = sign_in_browser(city.database_url("desk"), {"rs-rujukan": Role.AGENCY_LEAD}, language="en")
    context = browser.new_context(viewport={"width": 360, "height": 740})
    context.add_cookies([person.cookie_for(city.url("desk"))])
    page = context.new_page()
    try:
        page.goto(city.url("desk") + "/members")
        members = find_barriers(page)
        page.get_by_label("Name", exact=True).focus()
        page.keyboard.type("Sekar Rekaan")
        page.keyboard.press("Tab")
        page.keyboard.type(f"sekar-{uuid4().hex[:8]}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Give them this link")).to_be_visible()
        link = page.locator("#link").inner_text()

        assert link.startswith(city.url("desk") + "/invitation/")
        assert members + find_barriers(page) == []
    finally:
        context.close()


def plug_in(page: Page) -> None:
    """Gives a browser a passkey reader whose finger is always right."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_signs_in_without_password_and_code_until_it_is_removed(city: LocalCity, phone: Page) -> None:
    login_name = f"wiji-{uuid4().hex[:8]}"
    # A passkey is for a name, and not for an address such as 127.0.0.1.
    desk = city.url("desk").replace("127.0.0.1", "localhost")
    plug_in(phone)
    phone.goto(invite(city, login_name).replace("127.0.0.1", "localhost"))
    phone.get_by_label("Kata sandi", exact=True).fill(PASSWORD)
    phone.get_by_role("button", name="Lanjutkan").click()
    key = phone.locator("#authenticator-key").inner_text().replace(" ", "")
    phone.get_by_label("Enam angka").fill(TOTP(key).now())
    phone.get_by_role("button", name="Selesai").click()

    phone.goto(f"{desk}/account/sign-in")
    phone.get_by_label("Nama kunci sandi").fill("ponsel saya")
    phone.get_by_label("Kata sandi sekarang", exact=True).first.fill("bukan sandi yang benar")
    phone.get_by_role("button", name="Tambah kunci sandi").click()
    expect(phone.get_by_text("tidak benar")).to_be_visible()
    phone.get_by_label("Kata sandi sekarang", exact=True).first.fill(PASSWORD)
    phone.get_by_role("button", name="Tambah kunci sandi").click()
    expect(phone.get_by_role("button", name="Hapus ponsel saya")).to_be_visible()
    barriers, widths = find_barriers(phone), [too_wide(phone)]
    phone.screenshot(path=SHOTS / "account-ways-in.png", full_page=True)

    phone.goto(f"{desk}/account")
    phone.get_by_role("button", name="Keluar").click()
    phone.get_by_role("button", name="Masuk dengan kunci sandi").click()
    expect(phone.get_by_role("heading", name="Selamat datang")).to_be_visible()
    phone.goto(f"{desk}/account/sign-in")
    expect(phone.get_by_text("terakhir dipakai")).to_be_visible()
    phone.get_by_role("button", name="Hapus ponsel saya").click()
    expect(phone.get_by_role("button", name="Hapus ponsel saya")).to_have_count(0)
    phone.goto(f"{desk}/account")
    phone.get_by_role("button", name="Keluar").click()
    phone.get_by_role("button", name="Masuk dengan kunci sandi").click()
    expect(phone.get_by_role("heading", name="Masuk", exact=True)).to_be_visible()
    expect(phone.get_by_text("tidak diterima").first).to_be_visible()

    assert barriers == []
    assert widths == [0]

"""The local web inbox in a real browser: list, detail, accept, decline with a reason, complete."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from simpul_agency.sandbox.process import free_port
from tests.browser.conftest import SHOTS
from tests.support.sandbox import Sandbox, sandbox, until


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    # An agency of another city is asked for every service of a scenario.
    with sandbox(tmp_path_factory.mktemp("pages") / "work", "lembaga-contoh") as found:
        yield found


@pytest.fixture(scope="module")
def port(box: Sandbox) -> Iterator[int]:
    found = free_port()
    with box.running("run", SIMPUL_AGENCY_WEB_INBOX_PORT=str(found)):
        until(lambda: box.log.read_text().count("reply.referral.delivered.v1") == 5)
        yield found


@pytest.fixture
def page(browser: Browser, port: int) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, locale="id-ID")
    context.set_default_timeout(60_000)
    opened = context.new_page()
    opened.goto(f"http://127.0.0.1:{port}/")
    yield opened
    context.close()


def form_with(page: Page, service: str) -> Locator:
    """The form that has the check box of a service."""
    return page.locator("form").filter(has=page.get_by_role("checkbox", name=service))


def test_services_are_accepted_begun_and_completed_one_by_one(page: Page, box: Sandbox) -> None:
    expect(page.get_by_role("row")).to_have_count(6)
    expect(page.get_by_role("row", name="Perawatan medis")).to_contain_text("Rumah aman: menunggu jawaban")
    page.get_by_role("row", name="Perawatan medis").get_by_role("link").click()
    expect(page.get_by_text("0-5 tahun")).to_be_visible()
    page.get_by_role("checkbox", name="Rumah aman").uncheck()
    page.get_by_role("button", name="Terima").click()
    expect(page.get_by_role("row", name="Perawatan medis")).to_contain_text("diterima")
    expect(page.get_by_role("row", name="Rumah aman")).to_contain_text("menunggu jawaban")
    page.screenshot(path=SHOTS / "agency-detail.png", full_page=True)
    form_with(page, "Rumah aman").get_by_label("Alasan").select_option("Tidak ada kapasitas")
    form_with(page, "Rumah aman").get_by_role("button", name="Tidak dapat melayani").click()
    page.get_by_label("Janji temu").fill("2026-12-01T09:00")
    page.get_by_role("button", name="Jadwalkan").click()
    page.get_by_role("button", name="Mulai layanan").click()
    page.get_by_label("Hasil").select_option("Terlayani")
    page.get_by_role("button", name="Selesai").click()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)

    replies = ("accepted", "declined", "scheduled", "started", "completed")
    until(lambda: all(f"reply.referral.{word}.v1" in box.log.read_text() for word in replies))
    accepted = next(line for line in box.log.read_text().splitlines() if "reply.referral.accepted.v1" in line)
    assert accepted.endswith("1 service")


def test_a_decline_needs_its_reason(page: Page, box: Sandbox) -> None:
    page.get_by_role("row", name="Visum").get_by_role("link").click()
    page.get_by_role("button", name="Tidak dapat melayani").click()
    expect(page.get_by_role("alert")).to_contain_text("isi yang masih kosong")
    page.get_by_label("Alasan").select_option("Tidak ada kapasitas")
    page.get_by_role("button", name="Tidak dapat melayani").click()
    page.get_by_role("link", name="Kotak masuk").click()
    page.screenshot(path=SHOTS / "agency-list.png", full_page=True)

    until(lambda: "3 services no_capacity" in box.log.read_text())
    expect(page.get_by_role("row", name="Visum")).to_contain_text("dialihkan")


def _status(port: int, method: str, path: str, host: str = "127.0.0.1", body: str = "") -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Host": host, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_another_site_can_neither_read_nor_reply(page: Page, port: int, box: Sandbox) -> None:
    page.get_by_role("row", name="Bantuan sosial").get_by_role("link").click()
    path = page.url.partition(str(port))[2]
    before = box.log.read_text()

    assert _status(port, "POST", path, body="reply=accepted") == 403
    assert _status(port, "POST", path, body="reply=accepted&token=guessed") == 403
    assert _status(port, "GET", path, host="evil.example") == 421
    assert _status(port, "GET", "/referrals/0b7a5b3c-0000-4000-8000-000000000000") == 404
    assert _status(port, "GET", "/referrals/no-id") == 404
    token = page.locator("input[name=token]").first.get_attribute("value")
    assert _status(port, "POST", path, body=f"token={token}&reply=completed") == 422
    # No service is chosen: that is not an answer for all of them.
    assert _status(port, "POST", path, body=f"token={token}&reply=accepted") == 422
    assert box.log.read_text() == before

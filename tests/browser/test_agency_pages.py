"""The local web inbox in a real browser: list, detail, accept, decline with a reason, complete."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Browser, Page, expect

from simpul_agency.sandbox.process import free_port
from tests.support.sandbox import Sandbox, sandbox, until


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("pages") / "work") as found:
        yield found


@pytest.fixture(scope="module")
def port(box: Sandbox) -> Iterator[int]:
    found = free_port()
    with box.running("run", SIMPUL_AGENCY_PAGES_PORT=str(found)):
        until(lambda: box.log.read_text().count("reply.referral.delivered.v1") == 5)
        yield found


@pytest.fixture
def page(browser: Browser, port: int) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(15_000)
    opened = context.new_page()
    opened.goto(f"http://127.0.0.1:{port}/")
    yield opened
    context.close()


def test_a_referral_is_accepted_begun_and_completed(page: Page, box: Sandbox) -> None:
    expect(page.get_by_role("row")).to_have_count(6)
    page.get_by_role("row", name="Perawatan medis").get_by_role("link").click()
    expect(page.get_by_text("0-5 tahun")).to_be_visible()
    page.get_by_role("button", name="Terima").click()
    expect(page.get_by_text("diterima", exact=False).first).to_be_visible()
    page.get_by_label("Janji temu").fill("2026-12-01T09:00")
    page.get_by_role("button", name="Jadwalkan").click()
    page.get_by_role("button", name="Mulai layanan").click()
    page.get_by_label("Hasil").select_option("Terlayani")
    page.get_by_role("button", name="Selesai").click()
    expect(page.get_by_role("button")).to_have_count(0)
    page.screenshot(path="/tmp/agency-detail.png", full_page=True)

    said = ("accepted", "scheduled", "started", "completed")
    until(lambda: all(f"reply.referral.{word}.v1" in box.log.read_text() for word in said))


def test_a_decline_needs_its_reason(page: Page, box: Sandbox) -> None:
    page.get_by_role("row", name="Visum").get_by_role("link").click()
    page.get_by_label("Alasan").select_option("Tidak ada kapasitas")
    page.get_by_role("button", name="Tidak dapat melayani").click()
    page.get_by_role("link", name="Kotak masuk").click()
    page.screenshot(path="/tmp/agency-list.png", full_page=True)

    until(lambda: "reply.referral.declined.v1" in box.log.read_text())
    assert "no_capacity" in box.log.read_text()
    expect(page.get_by_role("row", name="Visum")).to_contain_text("dialihkan")


def _status(port: int, method: str, path: str, host: str = "127.0.0.1", body: str = "") -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Host": host, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_another_site_can_neither_read_nor_reply(page: Page, port: int, box: Sandbox) -> None:
    page.get_by_role("row", name="Bantuan sosial").get_by_role("link").click()
    path = page.url.partition(str(port))[2]
    said = box.log.read_text()

    assert _status(port, "POST", path, body="reply=accepted") == 403
    assert _status(port, "POST", path, body="reply=accepted&token=guessed") == 403
    assert _status(port, "GET", path, host="evil.example") == 421
    assert _status(port, "GET", "/referrals/0b7a5b3c-0000-4000-8000-000000000000") == 404
    assert _status(port, "GET", "/referrals/no-id") == 404
    assert box.log.read_text() == said
    token = page.locator("input[name=token]").first.get_attribute("value")
    assert _status(port, "POST", path, body=f"token={token}&reply=completed") == 422

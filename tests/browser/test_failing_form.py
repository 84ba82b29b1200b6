"""The public form on a phone while the database is away: nothing has to be typed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.faults.conftest import BreakableCity, breakable_city

STORY = "Anak itu sering sendirian.\n\nTetangga mendengar teriakan."


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableCity]:
    with breakable_city(tmp_path_factory.mktemp("failing"), "intake") as city:
        yield city


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 640})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def test_one_press_sends_the_same_report_again(failing: BreakableCity, phone: Page) -> None:
    assert failing.postgres
    phone.goto(failing.url("intake") + "/lapor#whole")
    phone.get_by_label("Fisik").check()
    phone.get_by_label("Ceritakan dengan kata-kata Anda").fill(STORY)
    phone.get_by_label("Apakah anak aman sekarang?").select_option("Tidak")
    number = phone.locator("input[name=report_id]").get_attribute("value")
    failing.postgres.stop()
    phone.get_by_role("button", name="Kirim").click()

    expect(phone.get_by_role("alert")).to_contain_text("BELUM tersimpan")
    expect(phone.get_by_role("alert")).to_be_in_viewport()
    expect(phone.get_by_role("link", name="129")).to_be_visible()
    assert phone.get_by_label("Ceritakan dengan kata-kata Anda").input_value() == STORY
    assert phone.get_by_label("Apakah anak aman sekarang?").input_value() == "no"
    assert phone.locator("input[name=report_id]").get_attribute("value") == number
    assert "?" not in phone.url
    phone.screenshot(path=Path("/tmp/form-failed.png"), full_page=True)
    failing.postgres.start()
    failing.wait_ready("intake")
    phone.get_by_role("button", name="Kirim lagi").click()

    expect(phone.get_by_role("heading", name="Laporan diterima")).to_be_visible()
    phone.screenshot(path=Path("/tmp/receipt-numbers.png"), full_page=True)


def test_a_text_far_too_long_still_gets_a_page(failing: BreakableCity, browser: Browser) -> None:
    page = browser.new_page(locale="id-ID")
    page.goto(failing.url("intake") + "/lapor#whole")
    page.get_by_label("Fisik").check()
    page.evaluate("document.querySelector('#chronology').value = 'x'.repeat(3000000)")
    page.get_by_role("button", name="Kirim").click()

    expect(page.get_by_text("terlalu besar dan tidak tersimpan")).to_be_visible()
    expect(page.get_by_role("link", name="129")).to_be_visible()
    page.close()

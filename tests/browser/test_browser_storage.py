"""What a person types into the public form stays in no file of the browser: the phone may be the perpetrator's."""

from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from simpul_dev.local_city import LocalCity
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.support.canary import Canary
from tests.support.debian import need


def fill_in(page: Page, city: LocalCity, canary: Canary) -> None:
    """Fills in the whole form, sends it with a mistake, corrects it and sends it again."""
    page.goto(city.url("intake") + "/lapor#whole")
    page.get_by_text("Identitas anak (boleh kosong").click()
    for name, value in (canary.identity() | canary.narrative()).items():
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name="Kirim").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Fisik").check()
    page.get_by_role("button", name="Kirim").click()
    expect(page.get_by_role("heading", name="Laporan diterima")).to_be_visible()


def files_left_by(visit: BrowserContext, profile: Path) -> bytes:
    """Closes the browser and reads everything that its profile keeps."""
    visit.close()
    return b"\n".join(file.read_bytes() for file in sorted(profile.rglob("*")) if file.is_file())


def test_the_form_leaves_nothing_in_the_browser_and_a_planted_value_would_be_found(
    city: LocalCity, tmp_path: Path
) -> None:
    need((CHROMIUM,), ("chromium",))
    canary, planted = Canary(), Canary()
    with sync_playwright() as playwright:
        visit = playwright.chromium.launch_persistent_context(tmp_path, executable_path=CHROMIUM, args=FLAGS)
        page = visit.new_page()
        fill_in(page, city, canary)
        page.evaluate("text => localStorage.setItem('planted', text)", planted.sentence)
        # The session that the browser would restore after a crash has earlier pages with the content of their fields.
        page.goto(city.url("intake") + "/lapor#whole")
        left = files_left_by(visit, tmp_path)

    assert canary.search(left) == []
    assert planted.search(left) != []

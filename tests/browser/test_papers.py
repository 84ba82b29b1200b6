"""Letters and recaps are printed at the desk, and a stranger finds by the code whether a paper is genuine."""

import re

import asyncpg
import pytest
from playwright.sync_api import Page, ViewportSize, expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.browser.test_work_pages import report, row, too_wide
from tests.support.accessibility import find_barriers
from tests.support.desk import run_aside

COORDINATOR = {"memberships": {}, "city_roles": {Role.COORDINATOR: "uptd-ppa"}}


def print_paper(page: Page, button: str) -> bytes:
    """Sends the form of a button as the browser does; returns the PDF."""
    form = page.locator("form").filter(has=page.get_by_role("button", name=button)).first
    answer = page.request.post(
        page.url.partition("/city")[0].partition("/work")[0] + str(form.get_attribute("action")),
        form={"form_token": form.locator("input[name=form_token]").input_value()},
    )
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    return answer.body()


def last_printed(city: LocalCity) -> asyncpg.Record:
    async def find() -> asyncpg.Record:
        connection = await asyncpg.connect(city.database_url("desk"))
        try:
            return await connection.fetchrow("SELECT * FROM printed_paper ORDER BY printed_at DESC LIMIT 1")
        finally:
            await connection.close()

    return run_aside(find())


def test_the_coordinator_prints_a_letter_and_a_recap(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = open_page("/city", name="Kinanti Rekaan", viewport=DESKTOP, **COORDINATOR)
    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").click()
    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()

    # Enough to decide, and whom to call.
    known = page.locator("dl").first
    expect(known).to_contain_text("Jenis kekerasan")
    expect(known).to_contain_text("Apakah anak aman sekarang?")
    expect(page.get_by_role("link", name="Hubungi 119")).to_have_attribute("href", "tel:119")
    letter = print_paper(page, "Cetak surat")
    printed = last_printed(hosting_city)
    recap = print_paper(page, "Cetak rekapitulasi kasus")

    assert letter.startswith(b"%PDF-")
    assert recap.startswith(b"%PDF-")
    assert (printed["kind"], printed["agency"]) == ("letter", "uptd-ppa")
    assert last_printed(hosting_city)["number"] == reference

    # Somebody without an account holds the paper and types its code.
    page.context.clear_cookies()
    page.goto(hosting_city.url("desk") + "/paper?lang=id")
    page.get_by_label("Kode di bagian bawah surat").fill(printed["code"].lower())
    page.get_by_role("button", name="Periksa").click()
    expect(page.get_by_text(f"Surat rujukan {printed['number']}")).to_be_visible()
    assert find_barriers(page) == []
    page.goto(hosting_city.url("desk") + "/paper?code=0000-0000-0000")
    expect(page.get_by_role("alert")).to_be_visible()
    assert find_barriers(page) == []


def test_a_responder_prints_a_copy_and_nobody_elses(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = open_page(viewport=DESKTOP)
    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").click()

    assert print_paper(page, "Cetak salinan surat rujukan").startswith(b"%PDF-")
    printed = last_printed(hosting_city)
    assert (printed["kind"], printed["agency"]) == ("letter", "rs-rujukan")
    assert "medical_care" in printed["services"]
    other = open_page("/account", memberships={"ylpa": Role.RESPONDER})
    address = page.url + "/letter"
    token = other.locator("input[name=form_token]").first.input_value()
    assert other.request.post(address, form={"form_token": token}).status == 404


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_the_pages_of_auditors_and_of_emergency_access_have_no_barriers(
    open_page: Open, viewport: ViewportSize
) -> None:
    page = open_page("/audit", memberships={}, city_roles={Role.AUDITOR: "uptd-ppa"}, viewport=viewport)
    assert (find_barriers(page), too_wide(page)) == ([], 0)
    page.get_by_role("button", name="Periksa catatan").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert (find_barriers(page), too_wide(page)) == ([], 0)

    page = open_page("/emergency", viewport=viewport)
    assert (find_barriers(page), too_wide(page)) == ([], 0)
    page.get_by_label("Nomor kasus").fill("K-0000-0000")
    page.locator("form[action='/emergency'] button").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert (find_barriers(page), too_wide(page)) == ([], 0)

"""Pages that are read without a network: the catalogue of messages, and the report on a consumer's conformance."""

import re
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, expect

from simpul_agency.conformance import CASES, Outcome, Verdict
from simpul_cli import contract
from simpul_schema.catalog import CATALOG
from simpul_schema.messages import SECTIONS


def test_the_catalogue_shows_every_message_and_section_and_needs_no_network(browser: Browser) -> None:
    page = browser.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto((contract.PACKAGE / "catalogue.html").as_uri())

    expect(page.get_by_role("article")).to_have_count(len(CATALOG) + len(SECTIONS))
    page.get_by_role("link", name="referral.offered.v1").first.click()
    card = page.locator("article[id='referral.offered.v1']")
    expect(card).to_be_in_viewport()
    card.locator("summary").click()
    expect(card.get_by_text("ciphertext")).to_be_visible()
    assert all(url.startswith("file:") for url in requested)
    page.close()


def test_the_report_on_all_cases_is_one_printed_page(browser: Browser, tmp_path: Path) -> None:
    at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    verdicts = tuple(Verdict(case.name, case.requirement, "", 1.0) for case in CASES)
    _, report = Outcome("python consumer.py", "rs-rujukan", at, verdicts, is_complete=True).write(tmp_path)

    page = browser.new_page()
    page.goto(report.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()

    assert "Conforms" in report.read_text()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1

"""The API documentation works in a browser that reaches only the service itself."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from simpul_dev.local_city import LocalCity
from tests.browser.conftest import CHROMIUM, FLAGS, SHOTS

HOST = "simpul.example"
"""A name other than localhost, because only then Swagger UI contacts a validator on the internet by default."""
OPERATIONS = {
    "intake": "/reports",
    "routing": "/cases/{case_id}/timeline",
    "notify": "/health/ready",
    "desk": "/health/ready",
}


@pytest.fixture(scope="module")
def offline(browser: Browser) -> Iterator[Browser]:
    """A Chromium that resolves no name except HOST, which is this machine."""
    rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    started = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, "--no-proxy-server", rules])
    yield started
    started.close()


@pytest.fixture
def page(offline: Browser) -> Iterator[Page]:
    opened = offline.new_page(viewport={"width": 1000, "height": 1400})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


@pytest.mark.parametrize("service", OPERATIONS)
def test_operations_are_shown_and_no_other_host_is_contacted(city: LocalCity, page: Page, service: str) -> None:
    address = f"http://{HOST}:{city.ports[service]}"
    requested: list[str] = []
    complaints: list[ConsoleMessage] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: pytest.fail(str(error)))

    answer = page.goto(f"{address}/docs")

    expect(page.locator(".opblock-summary-path", has_text=OPERATIONS[service]).first).to_be_visible()
    page.locator(".opblock", has_text="/health/ready").first.click()
    expect(page.get_by_text("Database, broker, consumers and relay work").first).to_be_visible()
    page.screenshot(path=SHOTS / f"docs-{service}.png")
    assert answer
    assert "'self'" in answer.headers["content-security-policy"]
    assert {url for url in requested if not url.startswith((f"{address}/", "data:"))} == set()
    assert [message.text for message in complaints] == []


@pytest.mark.parametrize(
    ("service", "path"), [("intake", "/lapor"), ("intake", "/lapor?lang=en"), ("intake", "/nowhere"), ("desk", "/")]
)
def test_a_page_for_people_contacts_no_other_host_either(city: LocalCity, page: Page, service: str, path: str) -> None:
    address = f"http://{HOST}:{city.ports[service]}"
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    page.goto(address + path, wait_until="networkidle")

    expect(page.get_by_role("heading").first).to_be_visible()
    assert {url for url in requested if not url.startswith(f"{address}/")} == set()
    # Without TLS, which the gateway adds, a browser ignores this header and says so.
    found = [text for text in complaints if not text.startswith("The Cross-Origin-Opener-Policy header")]
    assert [text for text in found if path != "/nowhere"] == []


def test_an_operation_can_be_tried_from_the_page(city: LocalCity, page: Page) -> None:
    page.goto(f"http://{HOST}:{city.ports['intake']}/docs")
    block = page.locator(".opblock", has_text="/health/ready").first
    block.click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()

    expect(block.locator(".live-responses-table .response .response-col_status")).to_have_text("200")

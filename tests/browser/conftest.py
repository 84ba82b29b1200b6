"""Fixtures with a real Chromium."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from simpul_desk.access import Role
from simpul_dev.backends import Backends
from simpul_dev.local_city import LocalCity
from tests.conftest import KEDIRI, broker_of_its_own
from tests.support.debian import need
from tests.support.desk import sign_in_browser

# An expectation ends as soon as it holds; other tests may hold both processors for seconds.
LONGEST_WAIT = 60_000
expect.set_options(timeout=LONGEST_WAIT)

HOSPITAL = "rs-rujukan"
HOSTED = (HOSPITAL, "dinsos-peksos", "klinik-pendidikan", "ylpa")
"""Agencies whose people work at the desk."""
PHONE = ViewportSize(width=360, height=740)
DESKTOP = ViewportSize(width=1280, height=900)
BOTH_SIZES = pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
"""For what people do in the acceptance scenarios of the domain."""
NEEDED = ("intake", "routing", "desk")
Open = Callable[..., Page]

SHOTS = Path(__file__).parents[2] / ".simpul" / "screenshots"
"""Where screenshots are kept after a run."""
SHOTS.mkdir(parents=True, exist_ok=True)

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, controlled by Playwright."""
    need((CHROMIUM,), ("chromium",))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def hosting_city(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCity]:
    """A city with agencies that work at the desk; no other agency answers, and nobody is alerted."""
    folder = tmp_path_factory.mktemp("hosting")
    folder.chmod(0o755)
    with broker_of_its_own(backends) as own:
        prepared = LocalCity(
            folder, own, KEDIRI, accept_after=None, database_prefix=f"hosting_{uuid4().hex[:6]}_", hosted=HOSTED
        )
        try:
            asyncio.run(prepared.prepare())
            prepared.start(*NEEDED)
            prepared.wait_ready(*NEEDED)
            yield prepared
        finally:
            prepared.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_page(browser: Browser, hosting_city: LocalCity) -> Iterator[Open]:
    """Opens a page of the desk as an invented person of the hospital."""
    contexts = []

    def opened(path: str = "/work", name: str = "Wiji Rekaan", **options: Any) -> Page:
        language = options.pop("language", "id")
        person = sign_in_browser(
            hosting_city.database_url("desk"),
            options.pop("memberships", {HOSPITAL: Role.RESPONDER}),
            name=name,
            language=language,
            city_roles=options.pop("city_roles", None),
        )
        context = browser.new_context(viewport=options.pop("viewport", PHONE), **options)
        contexts.append(context)
        context.add_cookies([person.cookie_for(hosting_city.url("desk"))])
        context.set_default_timeout(LONGEST_WAIT)
        page = context.new_page()
        page.goto(hosting_city.url("desk") + path)
        return page

    yield opened
    for context in contexts:
        context.close()

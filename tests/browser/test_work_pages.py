"""The people of a hosted agency in a real browser: read, accept, pass on, finish, see changes live."""

import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, Route, ViewportSize, expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import BOTH_SIZES, DESKTOP, HOSPITAL, SHOTS, Open
from tests.support.accessibility import find_barriers
from tests.support.desk import run_aside
from tests.support.ledger import rows
from tests.support.reports import a_report

CHILD = "Wenthilora Paksibumi"


def report(city: LocalCity, **changes: Any) -> str:
    """Sends a report about a child that needs the hospital; returns the reference of its case."""
    body = json.dumps(a_report(injured="yes", **changes)).encode()
    headers = city.token_of("uptd-ppa") | {"Content-Type": "application/json"}
    with urlopen(Request(city.url("intake") + "/reports", body, headers), timeout=60) as answer:
        return str(json.load(answer)["case_reference"])


def row(page: Page, reference: str) -> Any:
    return page.get_by_role("row").filter(has_text=reference)


def reload_until(page: Page, holds: Callable[[], bool]) -> None:
    """Reloads the page until it shows what is expected."""
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, "did not appear, or did not go, in time"
        page.wait_for_timeout(250)
        page.reload()


def too_wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_referral_appears_on_the_open_page_within_two_seconds(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page("/", viewport=DESKTOP)
    expect(page.get_by_role("heading", name="Pekerjaan saya")).to_be_visible()
    page.wait_for_timeout(500)

    # The best of several: other tests may hold both processors for seconds.
    took: list[float] = []
    while len(took) < 5 and min(took, default=60) >= 2:
        reference = report(hosting_city)
        began = time.monotonic()
        expect(row(page, reference)).to_be_visible()
        took.append(time.monotonic() - began)

    page.screenshot(path=SHOTS / "desk-worklist-desktop.png", full_page=True)
    assert min(took) < 2
    assert find_barriers(page) == []


def test_a_change_during_a_slow_refresh_is_shown_too(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page(viewport=DESKTOP)
    later: list[str] = []

    def answer_late(route: Route) -> None:
        answer = route.fetch()
        if not later:
            later.append(report(hosting_city))
            page.wait_for_timeout(3_000)
        route.fulfill(response=answer)

    page.route("**/work?shown=*", answer_late)
    report(hosting_city)

    expect(page.get_by_role("heading", name="Pekerjaan saya")).to_be_visible()
    page.wait_for_event("requestfinished", lambda request: "/work?shown=" in request.url, timeout=60_000)
    expect(row(page, later[0])).to_be_visible()


def test_a_refresh_keeps_the_focus(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = open_page(viewport=DESKTOP)
    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").focus()
    with page.expect_response("**/work?shown=*", timeout=60_000):
        other = report(hosting_city)

    expect(row(page, other)).to_be_visible()
    expect(row(page, reference).get_by_role("link")).to_be_focused()


@BOTH_SIZES
def test_a_responder_works_on_a_case_without_scripts(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    """Scenario 4: what the hospital cannot serve goes to the next agency at once."""
    reference = report(hosting_city)
    page = open_page(java_script_enabled=False, viewport=viewport)
    reload_until(page, lambda: reference in page.content())
    expect(row(page, reference)).to_contain_text("belum dibuka siapa pun")
    assert "/static/" in page.content()
    row(page, reference).get_by_role("link").click()

    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()
    expect(page.get_by_text("Ketentuan bersama para pihak").first).to_be_visible()
    page.screenshot(path=SHOTS / f"desk-referral-{viewport['width']}.png", full_page=True)
    assert CHILD not in page.content()
    page.get_by_role("checkbox", name="Visum").uncheck()
    page.get_by_role("button", name="Terima layanan yang dipilih").click()
    expect(page.get_by_role("heading", name=re.compile("Perawatan medis diterima"))).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("Visum menunggu"))).to_be_visible()

    # Only now the agency learns whom to help.
    reload_until(page, lambda: CHILD in page.content())
    page.screenshot(path=SHOTS / f"desk-dossier-{viewport['width']}.png", full_page=True)

    waiting = page.locator("form").filter(has=page.get_by_role("checkbox", name="Visum"))
    waiting.get_by_text("Lembaga saya tidak dapat melayani").click()
    expect(waiting.get_by_text("langsung dilimpahkan ke lembaga berikutnya")).to_be_visible()
    waiting.get_by_role("button", name="Limpahkan layanan yang dipilih").click()
    expect(page.get_by_role("alert")).to_contain_text("Pilih alasan lembaga Anda tidak dapat melayani.")
    waiting.get_by_label("Alasan").select_option("Tidak ada kapasitas")
    waiting.get_by_role("button", name="Limpahkan layanan yang dipilih").click()
    expect(page.get_by_role("heading", name=re.compile("Visum dilimpahkan"))).to_be_visible()

    page.get_by_role("button", name="Mulai").click()
    expect(page.get_by_role("heading", name=re.compile("Perawatan medis sedang dilayani"))).to_be_visible()
    page.get_by_text("Layanan sudah berakhir").click()
    page.get_by_label("Hasil").select_option("Terlayani")
    page.get_by_role("button", name="Selesaikan layanan yang dipilih").click()
    expect(page.get_by_text("Tidak ada lagi yang harus dikerjakan lembaga Anda di sini.")).to_be_visible()
    reload_until(page, lambda: CHILD not in page.content())
    page.get_by_role("link", name="Kembali ke pekerjaan saya").click()
    expect(row(page, reference)).to_have_count(0)


@BOTH_SIZES
def test_the_hospital_reads_until_when_treatment_and_evidence_are_due(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    """Scenario 2: mediation is locked, and the 72 hours run."""
    happened_at = datetime.now(ZoneInfo("Asia/Jakarta")) - timedelta(hours=71)
    reference = report(
        hosting_city, violence=["sexual"], sexual_under_72h="yes", happened_at=happened_at.strftime("%Y-%m-%dT%H")
    )
    page = open_page(viewport=viewport)
    reload_until(page, lambda: reference in page.content())
    row(page, reference).get_by_role("link").click()

    windows = page.locator(".govuk-summary-list__row").filter(has_text="Tindakan medis")
    expect(windows.filter(has_text="LAW-2")).to_contain_text("sisa")
    expect(page.get_by_text("kesepakatan keluarga")).to_contain_text("MED-1")
    page.get_by_text("Lembaga saya tidak dapat melayani").click()
    expect(page.get_by_text("terima dahulu layanannya")).to_be_visible()
    page.get_by_role("button", name="Terima layanan yang dipilih").click()
    page.get_by_text("Lembaga saya tidak dapat melayani").click()
    expect(page.get_by_text("catat dengan tombol Mulai")).to_be_visible()


def test_two_people_on_one_case_see_each_other_and_lose_no_choice(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    first, second = open_page(name="Wiji Rekaan", language="en"), open_page(name="Sri Rekaan")
    for page in (first, second):
        expect(row(page, reference)).to_be_visible()
        row(page, reference).get_by_role("link").click()
        expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()
    expect(first.get_by_text("Also here now: Sri Rekaan")).to_be_visible()
    expect(second.get_by_text("Sedang membuka juga: Wiji Rekaan")).to_be_visible()
    expect(first.get_by_role("heading", name="Who else acts for this child")).to_be_visible()
    expect(first.get_by_text("Unit PPA Satreskrim").first).to_be_visible()
    assert [find_barriers(page) for page in (first, second)] == [[], []]
    assert [too_wide(page) for page in (first, second)] == [0, 0]

    second.get_by_role("checkbox", name="Visum").uncheck()
    second.get_by_text("Lembaga saya tidak dapat melayani").first.click()
    second.get_by_label("Alasan").select_option("Tidak ada kapasitas")
    first.get_by_role("button", name="Accept the chosen services").click()
    expect(second.get_by_text("Kasus ini berubah sejak Anda membukanya.")).to_be_visible()
    second.get_by_role("button", name="Limpahkan layanan yang dipilih").click()

    expect(second.get_by_role("alert")).to_contain_text("Pilihan Anda masih ada di sini")
    second.screenshot(path=SHOTS / "desk-changed-phone.png", full_page=True)
    expect(second.get_by_label("Alasan")).to_have_value("no_capacity")
    expect(second.get_by_role("checkbox", name="Visum")).not_to_be_checked()
    expect(second.get_by_role("checkbox", name="Perawatan medis")).to_be_checked()


@BOTH_SIZES
def test_scenario_10_who_declares_a_conflict_of_interest_loses_the_case_and_colleagues_keep_it(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    reference = report(hosting_city)
    page, colleague = open_page(viewport=viewport), open_page(name="Sri Rekaan", viewport=viewport)
    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").click()
    address = page.url
    page.get_by_text("Saya terlalu dekat dengan kasus ini").click()
    page.get_by_role("button", name="Nyatakan konflik kepentingan").click()

    expect(page.get_by_role("heading", name="Pekerjaan saya")).to_be_visible()
    expect(row(page, reference)).to_have_count(0)
    for path in ("", "/others", "/changes"):
        answer = page.request.get(address + path, headers={"Accept": "text/html"})
        assert answer.status == 404
    assert colleague.goto(address).status == 200  # type: ignore[union-attr]  # a navigation has an answer
    expect(colleague.get_by_text("Dilihat oleh Wiji Rekaan")).to_be_visible()
    # What the person did stays in the audit.
    referral_id = address.rstrip("/").rpartition("/")[2]
    audited = "SELECT DISTINCT action FROM audit WHERE subject LIKE '%' || $1 ORDER BY action"
    actions = {one["action"] for one in run_aside(rows(hosting_city, "desk", audited, referral_id))}
    assert {"conflict.declared", "referral.read"} <= actions, actions


def test_another_agency_sees_nothing_of_the_hospital(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    mine = open_page()
    expect(row(mine, reference)).to_be_visible()
    row(mine, reference).get_by_role("link").click()
    stranger = open_page(memberships={"polres-ppa": Role.AGENCY_LEAD})

    expect(stranger.get_by_text("Lembaga Anda tidak bekerja di meja ini")).to_be_visible()
    statuses = [
        stranger.request.get(address, headers={"Accept": "text/html"}).status
        for address in (mine.url, mine.url + "/others", hosting_city.url("desk") + f"/live/{HOSPITAL}")
    ]
    assert statuses == [404, 404, 404]
    # What does not exist answers alike.
    unknown = f"{hosting_city.url('desk')}/work/{HOSPITAL}/0b7a5b3c-0000-4000-8000-000000000000"
    assert mine.request.get(unknown).status == 404


def test_the_pages_are_legible_in_the_dark(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = open_page(color_scheme="dark", language="en")
    expect(row(page, reference)).to_be_visible()
    barriers = find_barriers(page)
    row(page, reference).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Who else acts for this child")).to_be_visible()
    page.screenshot(path=SHOTS / "desk-referral-dark.png", full_page=True)

    assert barriers + find_barriers(page) == []


def test_the_first_page_is_light(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(page.url)
    while sum(sizes) < 30_000:
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)

    print(f"\nfirst page of the desk: {sum(sizes) / 1000:.1f} kB compressed in {len(sizes)} requests")
    assert sum(sizes) < 60_000


def test_a_slow_line_shows_the_worklist_and_takes_an_answer(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = open_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    # 3G at the edge of a village: 50 kB/s down, 20 kB/s up, 400 ms for each answer.
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
    session.send("Network.emulateNetworkConditions", slow)

    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").click()
    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()
    page.get_by_role("button", name="Terima layanan yang dipilih").click()

    expect(page.get_by_role("heading", name=re.compile("Perawatan medis diterima"))).to_be_visible()

"""What a person types into the public form stays in no file of the browser: the phone may be the perpetrator's."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen
from uuid import uuid4

import asyncpg
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import CHROMIUM, FLAGS, HOSPITAL, LONGEST_WAIT, PHONE
from tests.browser.test_work_pages import reload_until, report, row
from tests.support.accessibility import find_barriers
from tests.support.canary import Canary
from tests.support.debian import need
from tests.support.desk import run_aside, sign_in_browser
from tests.support.reports import a_report

PDF: Final = b"%PDF-1.7 surat"


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


def test_the_page_about_a_report_leaves_nothing_in_the_browser(city: LocalCity, tmp_path: Path) -> None:
    need((CHROMIUM,), ("chromium",))
    canary, planted = Canary(), Canary()
    body = json.dumps(a_report(complaint_centre="", injured="yes", identity=canary.identity())).encode()
    request = Request(city.url("intake") + "/reports", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        receipt = json.load(answer)
    with sync_playwright() as playwright:
        visit = playwright.chromium.launch_persistent_context(tmp_path, executable_path=CHROMIUM, args=FLAGS)
        page = visit.new_page()
        page.goto(city.url("intake") + "/laporan")
        page.locator("input[name=number]").fill(receipt["case_reference"])
        page.locator("[name=receipt]").fill(receipt["receipt"])
        page.locator("form button").first.click()
        page.locator("textarea[name=addition]").fill(canary.sentence)
        page.locator("form").filter(has=page.locator("textarea[name=addition]")).locator("button").first.click()
        expect(page.get_by_text("Tambahan Anda tersimpan")).to_be_visible()
        page.locator("#file").set_input_files({"name": "surat.pdf", "mimeType": "application/pdf", "buffer": PDF})
        page.locator("#files").locator("button").click()
        expect(page.get_by_text("Berkas Anda tersimpan")).to_be_visible()
        page.evaluate("text => localStorage.setItem('planted', text)", planted.sentence)
        page.goto(city.url("intake") + "/laporan")
        left = files_left_by(visit, tmp_path)

    assert canary.search(left) == []
    assert receipt["receipt"].encode() not in left
    assert planted.search(left) != []


def test_the_desk_leaves_nothing_of_a_dossier_in_the_browser(hosting_city: LocalCity, tmp_path: Path) -> None:
    need((CHROMIUM,), ("chromium",))
    canary, planted = Canary(), Canary()
    reference = report(hosting_city, identity=canary.identity(), narrative=canary.narrative())
    person = sign_in_browser(hosting_city.database_url("desk"), {HOSPITAL: Role.RESPONDER}, language="id")
    with sync_playwright() as playwright:
        visit = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, args=FLAGS, viewport=PHONE
        )
        visit.add_cookies([person.cookie_for(hosting_city.url("desk"))])
        page = visit.new_page()
        page.goto(hosting_city.url("desk") + "/work")
        expect(row(page, reference)).to_be_visible()
        row(page, reference).get_by_role("link").click()
        page.get_by_role("button", name="Terima layanan yang dipilih").click()
        reload_until(page, lambda: canary.word in page.content())
        page.locator("textarea[name=shared_note]").fill(canary.sentence)
        page.evaluate("text => localStorage.setItem('planted', text)", planted.sentence)
        page.goto(hosting_city.url("desk") + "/work")
        left = files_left_by(visit, tmp_path)

    assert canary.search(left) == []
    assert planted.search(left) != []


@dataclass(frozen=True)
class Typed:
    """A form of the desk into which people type what they know of a child."""

    person: str
    address: str
    """With the places `{referral}` and `{case}`."""
    form: str
    """The end of the address to which it is sent."""
    sent_to: str = ""
    """Where it is sent instead."""
    must_arrive: bool = False
    """Whether a later form answers it; any other one may be refused."""


FORMS: Final = (
    Typed("hospital", "/work/rs-rujukan/{referral}", "/note"),
    Typed("hospital", "/work/rs-rujukan/{referral}", "/note", sent_to=f"/work/rs-rujukan/{uuid4()}/note"),
    Typed("hospital", "/work/rs-rujukan/{referral}", "/shared-note"),
    Typed("hospital", "/work/rs-rujukan/{referral}", "/information"),
    Typed("hospital", "/work/rs-rujukan/{referral}/others", "/question", must_arrive=True),
    Typed("centre", "/questions", "/questions/{question}"),
    Typed("centre", "/report", "/report"),
    Typed("coordinator", "/city/cases/{case}", "/offer"),
    Typed("coordinator", "/city/cases/{case}", "/questions"),
    Typed("coordinator", "/city/cases/{case}/consents", "/consents"),
)


def fill_every_field(page: Page, form: Locator, text: str) -> None:
    """Types into every field of a form that takes text, so that a new field is covered too."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    fields = form.locator("textarea, input[type=text], input:not([type])").all()
    editable = [field for field in fields if field.is_visible()]
    assert editable
    for field in editable:
        field.fill(text)


def type_and_send(page: Page, city: LocalCity, typed: Typed, ids: Mapping[str, str], canary: Canary) -> None:
    """Types a canary into a form and sends it; whatever the desk refuses it shows again with what was typed."""
    action = typed.form.replace("{question}", "")
    selector = f"form[action*='{action}']" if action.endswith("/") else f"form[action$='{action}']"

    def send() -> bool:
        page.goto(city.url("desk") + typed.address.format(**ids))
        if not page.locator(selector).count():
            return False
        form = page.locator(selector).first
        fill_every_field(page, form, canary.sentence)
        form.evaluate("(form, address) => { form.action = address || form.action }", typed.sent_to)
        with page.expect_navigation():
            form.evaluate("form => { form.noValidate = true; form.requestSubmit() }")
        return not (typed.must_arrive and page.get_by_text("Belum ada yang dikirim").count())

    # Routing has yet to read that the hospital accepted, or what it wants to know.
    reload_until(page, send)


def test_what_people_type_at_the_desk_stays_in_no_file_of_the_browser(hosting_city: LocalCity, tmp_path: Path) -> None:
    need((CHROMIUM,), ("chromium",))
    city, desk = hosting_city, hosting_city.database_url("desk")
    seeded, table, planted = Canary(), Canary(), Canary()
    body = json.dumps(a_report(injured="yes", identity=seeded.identity(), narrative=seeded.narrative())).encode()
    headers = city.token_of("uptd-ppa") | {"Content-Type": "application/json"}
    with urlopen(Request(city.url("intake") + "/reports", body, headers), timeout=60) as answer:
        receipt = json.load(answer)
    people = {
        "hospital": sign_in_browser(desk, {HOSPITAL: Role.RESPONDER}, language="id"),
        "centre": sign_in_browser(desk, {"uptd-ppa": Role.RESPONDER}, language="id"),
        "coordinator": sign_in_browser(desk, city_roles={Role.COORDINATOR: "uptd-ppa"}, language="id"),
    }
    sheet = tmp_path / "laporan.csv"
    sheet.write_text(f"Jenis kekerasan;Nama anak;Umur (tahun)\nFisik;{table.sentence};9\nGaib;{table.sentence};9")
    canaries = {typed: Canary() for typed in FORMS}
    with sync_playwright() as playwright:
        visit = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=FLAGS, viewport=PHONE
        )
        visit.set_default_timeout(LONGEST_WAIT)
        page = visit.new_page()

        def act_as(person: str) -> None:
            # What an open page requests in between without a person would lead it to the login.
            page.goto("about:blank")
            visit.clear_cookies()
            visit.add_cookies([people[person].cookie_for(city.url("desk"))])

        act_as("hospital")
        page.goto(city.url("desk") + "/work")
        expect(row(page, receipt["case_reference"])).to_be_visible()
        row(page, receipt["case_reference"]).get_by_role("link").click()
        page.get_by_role("button", name="Terima layanan yang dipilih").click()
        reload_until(page, lambda: seeded.word in page.content())
        ids = {"case": receipt["case_id"], "referral": page.url.rstrip("/").rpartition("/")[2]}
        for typed, canary in canaries.items():
            act_as(typed.person)
            type_and_send(page, city, typed, ids, canary)
        act_as("centre")
        page.goto(city.url("desk") + "/report/table")
        page.get_by_label("Berkas CSV").set_input_files(sheet)
        page.get_by_role("button", name="Periksa tabel").click()
        expect(page.get_by_text("1 dari 2 baris dapat dikirim")).to_be_visible()
        page.evaluate("text => localStorage.setItem('planted', text)", planted.sentence)
        page.goto(city.url("desk") + "/work")
        left = files_left_by(visit, tmp_path / "profile")

    everything = {"seeded": seeded, "table": table} | {
        f"{one.address} {one.sent_to or one.form}": canaries[one] for one in FORMS
    }
    assert {name: hits for name, one in everything.items() if (hits := one.search(left))} == {}
    assert planted.search(left) != []


def wait_until(page: Page, condition: str) -> None:
    """Waits for a promise of the page to be true; `wait_for_function` takes any promise for true."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(100)


def count_reports(city: LocalCity, report_id: str) -> int:
    async def count() -> int:
        connection = await asyncpg.connect(city.database_url("intake"))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM report WHERE report_id = $1::uuid", report_id))
        finally:
            await connection.close()

    return run_aside(count())


def test_a_form_that_is_sent_without_a_line_is_kept_encrypted_and_arrives_once(city: LocalCity, tmp_path: Path) -> None:
    need((CHROMIUM,), ("chromium",))
    canary, address = Canary(), city.url("intake") + "/lapor"
    story = canary.narrative()["chronology"]
    with sync_playwright() as playwright:
        visit = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, args=FLAGS, viewport=PHONE
        )
        page = visit.new_page()
        page.goto(address)
        page.wait_for_function("navigator.serviceWorker.ready.then(() => caches.match('/lapor?lang=id'))")
        page.wait_for_function("navigator.serviceWorker.controller !== null")
        visit.set_offline(True)
        page.goto(address + "#whole")
        report_id = page.locator("input[name=report_id]").input_value()
        page.get_by_label("Fisik").check()
        page.locator("#chronology").fill(story)
        page.get_by_role("button", name="Kirim", exact=True).click()
        expect(page.get_by_text("BELUM terkirim")).to_be_visible()
        assert find_barriers(page) == []
        assert page.locator("#chronology").input_value() == story

        # Whoever opens the form next reads nothing of it at once, and begins another report.
        page.goto(address)
        expect(page.get_by_text("BELUM terkirim")).to_be_visible()
        assert page.locator("#chronology").input_value() == ""
        assert page.locator("input[name=report_id]").input_value() != report_id
        # Another report would take its place.
        expect(page.locator("#report")).to_be_hidden()
        assert count_reports(city, report_id) == 0
        visit.set_offline(False)
        expect(page.get_by_role("heading", name="Laporan diterima")).to_be_visible(timeout=60_000)
        assert count_reports(city, report_id) == 1
        wait_until(page, "indexedDB.databases().then(all => all.length === 0)")

        # A draft is kept for whoever wants it, and goes when they leave.
        page.goto(address + "?lang=id#whole")
        page.get_by_label("Simpan isian saya").check()
        page.locator("#chronology").fill(story)
        wait_until(page, "readDraft().then(draft => draft !== null)")
        page.goto(address)
        page.get_by_role("button", name="Tampilkan").click()
        expect(page.locator("#chronology")).to_have_value(story)
        visit.route("https://www.bmkg.go.id/", lambda route: route.fulfill(body="<title>BMKG</title>"))
        for _ in range(3):
            page.keyboard.press("Escape")
        expect(page).to_have_title("BMKG")
        page.goto(address)
        expect(page.locator("#kept")).to_be_hidden()
        assert page.evaluate("indexedDB.databases()") == []
        # What was typed just before is not kept after it either: the page hides itself as soon as somebody leaves.
        typed = "document.body.hidden = true, keepDraft([['chronology', 'x']], false)"
        assert page.evaluate(f"({typed}).then(() => indexedDB.databases())") == []
        left = files_left_by(visit, tmp_path)

    assert canary.search(left) == []

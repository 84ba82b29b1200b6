"""What people do in the acceptance scenarios of the domain, on a phone and at a table; 2, 4, 5 and 10 stand elsewhere.

Scenarios 2, 4 and 10 are in `test_work_pages.py`, 5 in `test_case_forms.py`. In 11 and 12 nobody uses a page.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import BOTH_SIZES, LONGEST_WAIT, SHOTS, Open
from tests.browser.test_case_forms import decide, fill_in, open_from_list, report
from tests.browser.test_city_pages import board
from tests.browser.test_report_pages import file_report, invented_name
from tests.browser.test_work_pages import reload_until, row, too_wide
from tests.support.accessibility import find_barriers
from tests.support.desk import run_aside
from tests.support.ledger import rows
from tests.support.routing_api import call

TASK_FORCE = "satgas-kel-bandar-lor"
FATHERS_PHONE = "+6283499887755"
SAFE_CONTACT = "Bibi di warung sebelah, siang hari"
OpenForm = Callable[[ViewportSize], Page]


@pytest.fixture
def open_form(browser: Browser, hosting_city: LocalCity) -> Iterator[OpenForm]:
    """Opens the public form, all on one page, as somebody without an account."""
    contexts = []

    def opened(viewport: ViewportSize) -> Page:
        context = browser.new_context(viewport=viewport)
        contexts.append(context)
        context.set_default_timeout(LONGEST_WAIT)
        page = context.new_page()
        page.goto(hosting_city.url("intake") + "/lapor#whole")
        return page

    yield opened
    for context in contexts:
        context.close()


def check_page(page: Page) -> None:
    """Checks what holds for every page: WCAG 2.2 AA, and nothing that scrolls sideways."""
    assert find_barriers(page) == []
    assert too_wide(page) == 0


def send_form(page: Page, answers: dict[str, str]) -> str:
    """Chooses answers on the public form and sends it; returns the reference of the case."""
    for question, answer in answers.items():
        page.get_by_label(question).select_option(answer)
    check_page(page)
    page.get_by_role("button", name="Kirim").click()
    expect(page.get_by_role("heading", name="Laporan diterima")).to_be_visible()
    check_page(page)
    return page.locator("#reference").inner_text()


def open_case(page: Page, city: LocalCity, reference: str) -> None:
    open_from_list(page, city, "cases", reference)


def open_work(page: Page, reference: str) -> None:
    """Opens a case from the worklist as soon as it is there."""
    expect(row(page, reference)).to_be_visible()
    row(page, reference).get_by_role("link").click()
    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()


def reload_until_names(page: Page, child: str, *, is_named: bool = True) -> None:
    """Reloads the page until it names the child, or no longer names it."""
    reload_until(page, lambda: (child in page.content()) is is_named)


def change(city: LocalCity, page: Page, route: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Calls routing's API about the case on a page of the coordinator, as a system of the city does."""
    path = f"/cases/{re.findall(r'[0-9a-f-]{36}', page.url)[0]}"

    async def send() -> tuple[int, Any]:
        while True:
            _, _, headers = await call(city, "GET", path)
            status, answer, _ = await call(city, "POST", path + route, json=body, headers={"If-Match": headers["ETag"]})
            if status != 412:
                return status, answer

    return run_aside(send())


def record_consent_to_everything(page: Page) -> None:
    """Records on the page of a case's consents that a parent consented to all services."""
    record = page.locator("form[action*='/consents']")
    for right in record.get_by_role("checkbox").all():
        right.check()
    for choice in ("Bahasa Jawa", "orang tua atau wali", "bertatap muka"):
        record.get_by_label(choice).check()
    record.get_by_label("Hubungan wali dengan anak").select_option("Orang tua")
    record.get_by_role("button", name="Catat persetujuan ini").click()
    expect(page.get_by_role("table")).to_contain_text("Orang tua, bertatap muka")
    check_page(page)


def history(page: Page) -> Locator:
    return page.locator("ol").last


@BOTH_SIZES
def test_scenario_1_a_task_force_sends_a_report_again_and_there_is_one_case(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    page = open_page("/report/filed", memberships={TASK_FORCE: Role.RESPONDER}, viewport=viewport)
    filed = page.get_by_role("row").filter(has_text=re.compile(r"K-\w{4}-\w{4}"))
    before = filed.count()
    page.goto(hosting_city.url("desk") + "/report")
    answers: list[int] = []

    def lose_answer(route: Route) -> None:
        answers.append(route.fetch().status)
        route.abort("connectionreset")

    page.route("**/report", lose_answer, times=1)
    file_report(page, invented_name())
    page.wait_for_url("chrome-error://**")
    page.reload()

    expect(page.get_by_role("heading", name="Laporan tersimpan")).to_be_visible()
    expect(page.get_by_text("Laporan ini sudah dikirim sebelumnya")).to_be_visible()
    assert answers == [200]
    receipt = page.locator("dd").last.inner_text()
    assert len(re.split(r"[\s-]+", receipt.strip())) == 11
    check_page(page)
    page.screenshot(path=SHOTS / f"scenario-1-{viewport['width']}.png", full_page=True)
    page.goto(hosting_city.url("desk") + "/report/filed")
    expect(filed).to_have_count(before + 1)
    check_page(page)


@BOTH_SIZES
def test_scenario_3_nobody_reaches_the_father_who_is_suspected(
    hosting_city: LocalCity, open_page: Open, open_form: OpenForm, viewport: ViewportSize
) -> None:
    form, child = open_form(viewport), invented_name()
    form.get_by_label("Fisik").check()
    form.get_by_label("Umur (tahun)").fill("9")
    form.get_by_text("Identitas anak (boleh kosong").click()
    form.get_by_label("Nama anak").fill(child)
    form.get_by_label("Telepon wali").fill(FATHERS_PHONE)
    form.get_by_label("Kontak yang aman dihubungi").fill(SAFE_CONTACT)
    reference = send_form(
        form,
        {
            "Apakah anak aman sekarang?": "Tidak",
            "Apakah anak terluka?": "Ya",
            "Di mana terjadi?": "Rumah tangga",
            "Kelurahan tempat tinggal anak": "Bandar Lor (Mojoroto)",
            "Siapa yang mengasuh anak?": "Orang tua",
            "Hubungan dengan anak": "Orang tua",
            "Apakah ia tinggal serumah dengan anak?": "Ya",
            "Apakah orang itu yang mengasuh anak?": "Ya",
        },
    )
    seen = [form.content()]

    coordinator = board(open_page, viewport=viewport)
    open_case(coordinator, hosting_city, reference)
    seen.append(coordinator.content())
    coordinator.get_by_role("link", name="Persetujuan anak dan walinya").click()
    expect(coordinator.get_by_text("Jangan meminta persetujuan wali")).to_contain_text("terduga pelaku")
    # The page takes the child's own consent, and nobody's in its place.
    record = coordinator.locator("form[action*='/consents']")
    expect(record.get_by_label("anak itu sendiri")).to_have_count(1)
    expect(record.get_by_label("orang tua atau wali")).to_have_count(0)
    expect(record.get_by_label("Hubungan wali dengan anak")).to_have_count(0)
    check_page(coordinator)
    coordinator.screenshot(path=SHOTS / f"scenario-3-{viewport['width']}.png", full_page=True)
    seen.append(coordinator.content())

    hospital = open_page(viewport=viewport)
    open_work(hospital, reference)
    hospital.get_by_role("button", name="Terima layanan yang dipilih").click()
    # What protects the child needs no consent.
    reload_until_names(hospital, child)
    expect(hospital.get_by_text(SAFE_CONTACT)).to_be_visible()
    check_page(hospital)
    seen.append(hospital.content())

    referral_id = hospital.url.rpartition("/")[2]
    auditor = open_page(
        f"/audit?subject=referral/{referral_id}",
        memberships={},
        city_roles={Role.AUDITOR: "uptd-ppa"},
        viewport=viewport,
    )
    expect(auditor.get_by_role("table")).to_contain_text("dossier.read")
    check_page(auditor)
    seen.append(auditor.content())
    number = FATHERS_PHONE.removeprefix("+62")
    assert [page for page in seen if number in page] == []


@BOTH_SIZES
def test_scenario_6_three_agencies_confirm_that_they_stopped_after_a_withdrawal(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    child = invented_name()
    reference = report(
        hosting_city,
        violence=["physical", "neglect"],
        place="school",
        perpetrator_relation="teacher",
        perpetrator_lives_with_child="no",
        identity={"child_name": child, "address": "Gang Melintang 7", "school": "SD Contoh 2"},
    )
    coordinator = board(open_page, viewport=viewport)
    open_case(coordinator, hosting_city, reference)
    case = coordinator.url
    coordinator.get_by_role("link", name="Persetujuan anak dan walinya").click()
    record_consent_to_everything(coordinator)
    consents = coordinator.url
    coordinator.goto(case)
    coordinator.get_by_role("button", name="Sahkan rencana").click()
    expect(coordinator.get_by_role("status")).to_contain_text("Rencana layanan disahkan.")

    helpers = {}
    for agency in ("dinsos-peksos", "klinik-pendidikan", "ylpa"):
        page = open_page(memberships={agency: Role.RESPONDER}, viewport=viewport)
        open_work(page, reference)
        page.get_by_role("button", name="Terima layanan yang dipilih").click()
        reload_until_names(page, child)
        helpers[agency] = page

    coordinator.goto(consents)
    coordinator.get_by_role("button", name="Cabut").click()
    expect(coordinator.get_by_text("dicabut").first).to_be_visible()
    for agency, page in helpers.items():
        page.goto(hosting_city.url("desk") + "/work")
        expect(row(page, reference)).to_contain_text("Persetujuan dicabut: pastikan bahwa Anda sudah berhenti.")
        row(page, reference).get_by_role("link").click()
        expect(page.get_by_role("heading", name="Persetujuan dicabut")).to_be_visible()
        reload_until_names(page, child, is_named=False)
        check_page(page)
        page.screenshot(path=SHOTS / f"scenario-6-{agency}-{viewport['width']}.png", full_page=True)
        page.get_by_role("button", name="Kami sudah berhenti").click()
        expect(page.get_by_role("button", name="Kami sudah berhenti")).to_have_count(0)

    coordinator.goto(case)
    stopped = history(coordinator).get_by_role("listitem").filter(has_text="penghentian dikonfirmasi")
    reload_until(coordinator, lambda: stopped.count() == len(helpers))
    check_page(coordinator)


@BOTH_SIZES
def test_scenario_7_the_coordinator_reads_whom_to_call_while_an_agency_is_silent(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    reference = report(hosting_city, violence=["sexual"])
    six_hours = (
        "INSERT INTO agency_manifest (agency, last_manifest_number, missed_manifests, silent_since, alarm_id)"
        " VALUES ('polres-ppa', 1, 60, now() - interval '6 hours', gen_random_uuid()) ON CONFLICT (agency)"
        " DO UPDATE SET silent_since = excluded.silent_since, alarm_id = excluded.alarm_id"
    )
    run_aside(rows(hosting_city, "routing", six_hours))
    page = board(open_page, viewport=viewport)
    page.goto(hosting_city.url("desk") + "/city/machines")

    silent = page.get_by_role("listitem").filter(has_text="Unit PPA Satreskrim")
    expect(silent.get_by_role("link", name="Hubungi 110")).to_have_attribute("href", "tel:110")
    check_page(page)
    page.screenshot(path=SHOTS / f"scenario-7-{viewport['width']}.png", full_page=True)
    open_case(page, hosting_city, reference)
    police = page.get_by_role("row").filter(has_text="Unit PPA Satreskrim")
    expect(police).to_contain_text("dikirim")
    expect(police.get_by_role("link", name="Hubungi 110")).to_be_visible()
    check_page(page)


CLOSING = {"dilimpahkan ke daerah lain": "", "Alasan": "Diambil alih kabupaten"}
REGENCY = {
    "anak": "",
    "di atas kertas": "",
    "Nama pihak itu": "UPTD PPA Kabupaten Kediri",
    "Alamat kantornya": "Jalan Contoh 7",
    "Alasan": "Tinggal di kabupaten",
}
RECEIPT = {
    "Nama penerima": "Hestrud Quamiral",
    "Jabatan penerima": "Kepala UPTD PPA",
    "Tanggal diterima": "2026-11-28",
}


@BOTH_SIZES
def test_scenario_8_a_child_of_the_regency_gets_help_here_before_the_transfer(
    hosting_city: LocalCity, open_page: Open, open_form: OpenForm, viewport: ViewportSize
) -> None:
    form = open_form(viewport)
    form.get_by_label("Fisik").check()
    safety = {"Apakah anak aman sekarang?": "Tidak", "Apakah anak terluka?": "Ya"}
    reference = send_form(form, safety | {"Kelurahan tempat tinggal anak": "Di luar kota"})
    hospital = open_page(viewport=viewport)
    open_work(hospital, reference)
    hospital.get_by_role("button", name="Terima layanan yang dipilih").click()
    expect(hospital.get_by_role("heading", name=re.compile("Perawatan medis diterima"))).to_be_visible()

    page = board(open_page, viewport=viewport)
    open_from_list(page, hosting_city, "triage", reference)
    agencies = page.get_by_role("table", name="Lembaga dan keadaan layanannya")
    expect(agencies).to_contain_text("Perlindungan darurat")
    fill_in(page, "#transfer", REGENCY)
    check_page(page)
    decide(page, "#transfer", "Catat pelimpahan", REGENCY)
    expect(page.get_by_role("status")).to_contain_text("Pelimpahan tercatat.")
    expect(page.get_by_role("heading", name="UPTD PPA Kabupaten Kediri")).to_contain_text("menunggu tanda terima")
    expect(history(page)).to_contain_text("surat pelimpahan ke pihak lain dikirim")
    decide(page, "#close", "Tutup kasus", CLOSING)
    expect(page.get_by_role("alert")).to_contain_text("sampai pihak lain mengakui pelimpahan")
    expect(page.locator("#close").get_by_label("Alasan")).to_have_value("Diambil alih kabupaten")
    expect(agencies).to_contain_text("Perlindungan darurat")
    check_page(page)
    fill_in(page, "details[id^='receipt-']", RECEIPT)
    check_page(page)
    decide(page, "details[id^='receipt-']", "Catat tanda terima", RECEIPT)
    expect(page.get_by_text("Diterima oleh Hestrud Quamiral, Kepala UPTD PPA, 28 November 2026")).to_be_visible()
    expect(history(page)).to_contain_text("pihak lain mengakui pelimpahan")
    decide(page, "#close", "Tutup kasus", CLOSING)
    expect(page.get_by_role("status")).to_contain_text("Kasus ditutup.")
    expect(page.get_by_text("berakhir (dilimpahkan ke daerah lain)")).to_be_visible()
    check_page(page)


@BOTH_SIZES
def test_scenario_9_every_page_says_that_a_sexual_case_is_never_settled_and_an_attempt_stays_in_its_history(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    reference = report(hosting_city, violence=["sexual"], injured="yes")
    hospital = open_page(viewport=viewport)
    open_work(hospital, reference)
    lock = "Kasus ini tidak boleh diselesaikan"
    expect(hospital.get_by_text(lock)).to_contain_text("MED-1")
    check_page(hospital)

    page = board(open_page, viewport=viewport)
    open_case(page, hosting_city, reference)
    expect(page.get_by_text(lock)).to_be_visible()
    for one in (hospital, page):
        expect(one.get_by_role("button", name=re.compile("mediasi|damai", re.IGNORECASE))).to_have_count(0)
    status, refusal = change(hosting_city, page, "/mediation", {"reason": "the families agree"})
    assert (status, refusal["code"]) == (403, "mediation_locked")
    assert "melarang mediasi" in refusal["messages"]["id"]
    page.reload()
    expect(history(page)).to_contain_text(re.compile(r"mediasi diminta dan ditolak \(.*MED-1"))
    check_page(page)
    page.screenshot(path=SHOTS / f"scenario-9-{viewport['width']}.png", full_page=True)

    guide = open_page("/guide", memberships={TASK_FORCE: Role.RESPONDER}, viewport=viewport)
    urged = guide.get_by_role("heading", name=re.compile("penyelesaian damai"))
    while not urged.is_visible():
        guide.get_by_role("button", name="Tidak").locator("visible=true").click()
    guide.get_by_role("button", name="Ya").locator("visible=true").click()
    expect(guide.get_by_text("Jangan menjadi penengah dan jangan menandatangani")).to_be_visible()
    check_page(guide)

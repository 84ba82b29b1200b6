"""What a coordinator decides about a case, and the guide of a task force, in a real browser."""

import json
import re
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Locator, Page, ViewportSize, expect

from simpul_dev.local_city import LocalCity
from tests.browser.conftest import BOTH_SIZES, DESKTOP, PHONE, SHOTS, Open
from tests.browser.test_city_pages import board
from tests.browser.test_work_pages import reload_until, too_wide
from tests.support.accessibility import find_barriers
from tests.support.reports import a_report

SAME_CHILD = {
    PHONE["width"]: {"child_name": "Soeryaningtyas Brahmodjo", "birth_date": "2015-11-07"},
    DESKTOP["width"]: {"child_name": "Lokajayanti Wiranegara", "birth_date": "2015-02-03"},
}
"""By the width of the screen, because both sizes are tried in one city."""


def report(city: LocalCity, **changes: Any) -> str:
    """Sends a report of somebody without an account; returns the reference of its case."""
    body = json.dumps(a_report(complaint_centre="", **changes)).encode()
    with urlopen(
        Request(city.url("intake") + "/reports", body, {"Content-Type": "application/json"}), timeout=60
    ) as answer:
        return str(json.load(answer)["case_reference"])


def open_from_list(page: Page, city: LocalCity, name: str, reference: str) -> None:
    """Opens a case from a list of what waits for a decision, as soon as it is there."""
    page.goto(city.url("desk") + f"/city/{name}")
    reload_until(page, lambda: reference in page.content())
    page.get_by_role("link", name=reference).first.click()
    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()


@BOTH_SIZES
def test_a_coordinator_decides_about_triage_duplicates_and_exclusions(
    hosting_city: LocalCity, open_page: Open, viewport: ViewportSize
) -> None:
    """Scenario 5, with what else waits for the coordinator."""
    in_triage = report(hosting_city, violence=["unknown"])
    excluding = report(hosting_city, excluded_agencies=["satgas-kel-bandar-lor"])
    first, second = [report(hosting_city, identity=SAME_CHILD[viewport["width"]], age=11) for _ in range(2)]
    page = board(open_page, viewport=viewport)

    open_from_list(page, hosting_city, "triage", in_triage)
    page.get_by_text("Tawarkan layanan kepada lembaga").click()
    offer = page.locator("#offer")
    offer.get_by_label("Layanan", exact=True).select_option("social_aid")
    offer.get_by_label("Lembaga").select_option("rs-rujukan")
    offer.get_by_label("Alasan").fill("Keluarga meminta bantuan")
    offer.get_by_role("button", name="Tawarkan").click()
    expect(page.get_by_role("alert")).to_contain_text("Ini belum dilakukan")
    expect(offer.get_by_label("Alasan")).to_have_value("Keluarga meminta bantuan")
    assert find_barriers(page) == []
    offer.get_by_label("Lembaga").select_option("dinsos-peksos")
    offer.get_by_role("button", name="Tawarkan").click()
    agencies = page.get_by_role("table", name="Lembaga dan keadaan layanannya")
    expect(agencies).to_contain_text("Bantuan sosial")
    expect(page.get_by_role("alert")).to_have_count(0)

    open_from_list(page, hosting_city, "exclusions", excluding)
    form = page.locator("form[action*='/exclusions/']")
    form.get_by_role("button").last.click()
    expect(page.get_by_role("alert")).to_be_visible()
    form.get_by_label("Alasan").fill("Keluarga sudah ditanya.")
    form.get_by_role("button").last.click()
    expect(page.get_by_role("heading", name=re.compile(excluding))).to_be_visible()
    expect(form).to_have_count(0)

    open_from_list(page, hosting_city, "duplicates", second)
    merge = page.locator("form").filter(has=page.get_by_role("link", name=first))
    merge.get_by_label("Alasan").fill("Ibu menyebut tanggal lahir yang sama.")
    merge.get_by_role("button").first.click()
    expect(page.get_by_role("heading", name=re.compile(second))).to_be_visible()
    expect(merge).to_have_count(0)


def fill_in(page: Page, section: str, answers: dict[str, str]) -> Locator:
    """Opens and fills in a form of a case: label -> what is chosen or written; returns the form."""
    form = page.locator(section)
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    for label, answer in answers.items():
        field = form.get_by_label(label, exact=True)
        if field.get_attribute("type") == "radio":
            field.check()
        elif field.get_attribute("class") == "govuk-select":
            field.select_option(answer)
        else:
            field.fill(answer)
    return form


def decide(page: Page, section: str, button: str, answers: dict[str, str]) -> None:
    """Fills in and sends a form of a case; again where a service of the case moved meanwhile."""
    is_outdated = True
    while is_outdated:
        form = fill_in(page, section, answers)
        with page.expect_navigation():
            form.get_by_role("button", name=button).click()
        is_outdated = page.get_by_text("Kasus ini sudah diubah orang lain").count() > 0


def test_a_letter_is_withdrawn_an_agency_excluded_and_a_case_reopened_without_javascript(
    hosting_city: LocalCity, open_page: Open
) -> None:
    reference = report(hosting_city, injured="yes")
    page = board(open_page, viewport=PHONE, java_script_enabled=False)
    open_from_list(page, hosting_city, "cases", reference)
    done = page.get_by_role("status")

    letter = {"terduga pelaku": "", "lewat surel": "", "Nama pihak itu": "Bapas Rekaan", "Alasan": "Diminta Bapas"}
    decide(page, "#transfer", "Catat pelimpahan", letter | {"Alamat kantornya": "bapas@contoh.invalid"})
    expect(done).to_contain_text("Pelimpahan tercatat.")
    expect(page.get_by_role("heading", name="Bapas Rekaan")).to_contain_text("menunggu tanda terima")
    page.screenshot(path=SHOTS / "desk-transfer-phone.png", full_page=True)
    page.get_by_role("link", name="Surat untuk dicetak atau dikirim").click()
    expect(page.get_by_text("Bapas Rekaan")).to_be_visible()
    page.go_back()
    decide(page, "details[id^='withdrawal-']", "Cabut pelimpahan", {"Alasan": "Bapas menolak"})
    expect(page.get_by_role("heading", name="Bapas Rekaan")).to_contain_text("dicabut")

    decide(page, "#exclude", "Jauhkan dari kasus ini", {"Lembaga": "rs-rujukan", "Alasan": "Paman bekerja di sana"})
    expect(done).to_contain_text("Keputusan Anda tentang lembaga itu telah dicatat.")
    decide(page, "#offer", "Tawarkan", {"Layanan": "medical_care", "Lembaga": "rs-rujukan", "Alasan": "Terdekat"})
    expect(page.get_by_role("alert")).to_contain_text("dikecualikan")

    decide(page, "#close", "Tutup kasus", {"selesai": "", "Alasan": "Semua tertangani"})
    expect(page.get_by_role("alert")).to_contain_text("Hak ini belum terjawab")
    expect(page.locator("#close").get_by_label("Alasan")).to_have_value("Semua tertangani")
    decide(page, "#close", "Tutup kasus", {"ditutup": "", "Alasan": "Keluarga pindah"})
    expect(done).to_contain_text("Kasus ditutup.")
    decide(page, "#reopen", "Buka kembali kasus", {"Alasan": "Keluarga kembali"})
    expect(done).to_contain_text("Kasus dibuka kembali.")
    expect(page.locator("#close")).to_have_count(1)


def test_a_task_force_finds_the_next_step_without_a_line(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page("/work")
    page.get_by_role("link", name=re.compile("Langkah berikutnya")).click()
    page.wait_for_function("navigator.serviceWorker.ready.then(() => caches.match('/guide/offline?lang=id'))")
    expect(page.get_by_role("heading", name="Apakah anak sedang dalam bahaya sekarang?")).to_be_visible()
    assert find_barriers(page) == []

    page.context.set_offline(True)
    page.goto(hosting_city.url("desk") + "/guide")
    expect(page.get_by_text("Tidak ada sambungan.")).to_be_visible()
    for question in ("bahaya sekarang", "terluka", "kekerasan seksual"):
        expect(page.get_by_role("heading", name=re.compile(question))).to_be_visible()
        expect(page.get_by_role("heading", level=2)).to_have_count(1)
        page.get_by_role("button", name="Ya" if question == "kekerasan seksual" else "Tidak").click()

    expect(page.get_by_text("Antar anak ke rumah sakit hari ini.")).to_be_visible()
    expect(page.get_by_text("UU 12/2022").first).to_be_visible()
    ruling = re.compile("Menurut kesepakatan: tinggi", re.IGNORECASE)
    expect(page.get_by_role("heading", name=ruling)).to_be_visible()
    page.screenshot(path=SHOTS / "desk-guide-offline.png", full_page=True)
    assert too_wide(page) == 0


def test_consents_are_recorded_with_their_text_and_never_from_the_suspect(
    hosting_city: LocalCity, open_page: Open
) -> None:
    reference = report(hosting_city, age=13, perpetrator_relation="step_parent")
    page = board(open_page, viewport=PHONE)
    page.goto(hosting_city.url("desk") + "/city/cases")
    reload_until(page, lambda: reference in page.content())
    page.get_by_role("link", name=reference).first.click()
    page.get_by_role("link", name="Persetujuan anak dan walinya").click()

    expect(page.get_by_text("Jangan meminta persetujuan wali berikut")).to_contain_text("Orang tua, Orang tua tiri")
    expect(page.get_by_text("Anak berusia 12 tahun atau lebih")).to_be_visible()
    expect(page.locator("[lang=jv]")).to_contain_text("Punapa panjenengan sarujuk")
    guardian = page.get_by_label("Hubungan wali dengan anak")
    assert guardian.locator("option").all_inner_texts()[:2] == ["", "Kerabat"]
    assert find_barriers(page) == []
    assert too_wide(page) == 0

    record = page.locator("form[action*='/consents']")
    for giver, relation in (("orang tua atau wali", "relative"), ("anak itu sendiri", "")):
        record.get_by_label("Bahasa Jawa").check()
        record.get_by_label("Kelangsungan pendidikan").check()
        record.get_by_label(giver).check()
        guardian.select_option(relation)
        record.get_by_label("bertatap muka").check()
        record.get_by_role("button", name="Catat persetujuan ini").click()
    recorded = page.get_by_role("table")
    expect(recorded).to_contain_text("Kerabat, bertatap muka")
    expect(recorded).to_contain_text("anak itu sendiri, bertatap muka")
    expect(recorded).to_contain_text("2026-11, Bahasa Jawa")

    page.get_by_role("button", name="Cabut").click()
    expect(recorded.get_by_text("dicabut")).to_have_count(2)
    assert find_barriers(page) == []
    page.screenshot(path=SHOTS / "desk-consents-phone.png", full_page=True)


def test_a_consent_without_its_purpose_is_not_recorded_and_nothing_typed_is_lost(
    hosting_city: LocalCity, open_page: Open
) -> None:
    reference = report(hosting_city)
    page = board(open_page, viewport=PHONE, java_script_enabled=False)
    page.goto(hosting_city.url("desk") + "/city/cases")
    reload_until(page, lambda: reference in page.content())
    page.get_by_role("link", name=reference).first.click()
    page.get_by_role("link", name="Persetujuan anak dan walinya").click()

    record = page.locator("form[action*='/consents']")
    for label in ("Bahasa Indonesia", "orang tua atau wali", "lewat telepon"):
        record.get_by_label(label, exact=True).check()
    record.get_by_label("Catatan").fill("Ibu menelepon")
    record.get_by_role("button", name="Catat persetujuan ini").click()

    expect(page.get_by_role("alert")).to_contain_text("untuk apa")
    expect(record.get_by_label("lewat telepon")).to_be_checked()
    expect(record.get_by_label("Catatan")).to_have_value("Ibu menelepon")
    record.get_by_label("Kelangsungan pendidikan").check()
    record.get_by_role("button", name="Catat persetujuan ini").click()
    # Who the guardian is to the child decides whether the consent counts.
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("Belum ada persetujuan yang tercatat.")).to_be_visible()


def test_a_refused_form_keeps_what_was_typed_and_loaded_again_is_the_page_of_the_form(
    hosting_city: LocalCity, open_page: Open
) -> None:
    in_triage, methods = report(hosting_city, violence=["unknown"]), []
    page = board(open_page, viewport=PHONE)
    open_from_list(page, hosting_city, "triage", in_triage)
    address = page.url
    page.get_by_text("Tawarkan layanan kepada lembaga").click()
    offer = page.locator("#offer")
    offer.get_by_label("Layanan", exact=True).select_option("social_aid")
    offer.get_by_label("Lembaga").select_option("rs-rujukan")
    offer.get_by_label("Alasan").fill("Keluarga meminta bantuan")
    offer.get_by_role("button", name="Tawarkan").click()
    expect(page.get_by_role("alert")).to_contain_text("Ini belum dilakukan")
    expect(offer.get_by_label("Alasan")).to_have_value("Keluarga meminta bantuan")
    assert page.url == f"{address}/offer"

    page.on("request", lambda sent: methods.append(sent.method) if sent.is_navigation_request() else None)
    page.reload()

    assert (page.url, set(methods)) == (address, {"GET"})
    expect(page.get_by_role("heading", name=re.compile(in_triage))).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)

"""The public form in a real browser: a narrow phone, with and without scripts, both languages."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from simpul_intake.proof_of_work import is_proven
from tests.browser.conftest import SHOTS
from tests.support.accessibility import find_barriers
from tests.support.desk import sign_in_browser


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A cheap phone with scripts switched off."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 640})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def scripted(browser: Browser) -> Iterator[Page]:
    """The same phone with scripts on, so that the page can be measured."""
    context = browser.new_context(viewport={"width": 320, "height": 640})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def too_wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_another_language_keeps_what_was_typed_and_sends_nothing(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor#whole")
    phone.get_by_label("Ceritakan dengan kata-kata Anda").fill("Tetangga mendengar teriakan.")
    phone.get_by_role("button", name="English").click()

    expect(phone.get_by_role("heading", name="Service form")).to_be_visible()
    expect(phone.locator("#chronology")).to_have_value("Tetangga mendengar teriakan.")
    expect(phone.locator("#reference")).to_have_count(0)
    phone.goto(phone.url + "#whole")
    phone.get_by_role("button", name="Bahasa Indonesia").click()
    expect(phone.get_by_role("heading", name="Formulir layanan")).to_be_visible()


def test_enter_sends_the_form_and_changes_no_language(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/laporan")
    phone.get_by_label("Nomor laporan").fill("K-0000-0000")
    phone.get_by_label("Kata kunci Anda").fill("satu dua")
    phone.get_by_label("Kata kunci Anda").press("Enter")

    expect(phone.get_by_role("alert")).to_be_visible()
    expect(phone.get_by_role("heading", name="Laporan Anda")).to_be_visible()
    phone.get_by_role("button", name="English").click()
    expect(phone.get_by_role("heading", name="Your report")).to_be_visible()
    expect(phone.locator("#number")).to_have_value("K-0000-0000")


def test_a_report_in_indonesian_gives_a_reference_and_a_receipt(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor#whole")
    phone.get_by_label("Fisik").check()
    phone.get_by_label("Ceritakan dengan kata-kata Anda").fill("Tetangga mendengar teriakan pada malam hari.")
    phone.get_by_label("Apakah anak aman sekarang?").select_option("Tidak")
    phone.get_by_label("Kelurahan tempat tinggal anak").select_option("Bandar Lor (Mojoroto)")
    phone.get_by_label("Umur (tahun)").fill("9")
    phone.get_by_label("Di mana terjadi?").select_option("Rumah tangga")
    phone.get_by_label("Siapa Anda?").select_option("Tetangga")
    phone.get_by_text("Identitas anak (boleh kosong").click()
    phone.get_by_label("Nama anak").fill("Wenthilora Paksibumi")
    phone.screenshot(path=SHOTS / "form-id.png", full_page=True)
    phone.get_by_role("button", name="Kirim").click()
    phone.screenshot(path=SHOTS / "receipt-id.png", full_page=True)

    expect(phone.get_by_role("heading", name="Laporan diterima")).to_be_visible()
    assert re.fullmatch(r"K-\w{4}-\w{4}", phone.locator("#reference").inner_text())
    assert len(phone.locator("#receipt").inner_text().split()) == 11


def test_a_report_in_english_gives_a_reference_and_a_receipt(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor")
    phone.get_by_role("button", name="English").click()
    phone.get_by_role("link", name="Show everything on one page").click()
    phone.get_by_label("Psychological").check()
    phone.get_by_label("Is the child safe now?").select_option("Yes")
    phone.get_by_label("Kelurahan where the child lives").select_option("Bandar Lor (Mojoroto)")
    phone.screenshot(path=SHOTS / "form-en.png", full_page=True)
    phone.get_by_role("button", name="Send").click()
    phone.screenshot(path=SHOTS / "receipt-en.png", full_page=True)

    expect(phone.get_by_role("heading", name="Report received")).to_be_visible()
    assert re.fullmatch(r"K-\w{4}-\w{4}", phone.locator("#reference").inner_text())
    assert len(phone.locator("#receipt").inner_text().split()) == 11


def test_without_a_kind_of_violence_it_says_so_and_keeps_what_was_typed(city: LocalCity, phone: Page) -> None:
    story = "Anak itu sering sendirian <b>&amp; lapar</b>."
    phone.goto(city.url("intake") + "/lapor#whole")
    phone.get_by_label("Ceritakan dengan kata-kata Anda").fill(story)
    phone.get_by_label("Apakah anak terluka?").select_option("Tidak")
    phone.get_by_label("Kelurahan tempat tinggal anak").select_option("Bandar Lor (Mojoroto)")
    phone.get_by_label("Umur (tahun)").fill("9")
    phone.get_by_text("Identitas anak (boleh kosong").click()
    phone.get_by_label("Nama anak").fill("Wenthilora Paksibumi")
    phone.get_by_role("button", name="Kirim").click()
    phone.screenshot(path=SHOTS / "form-problem.png", full_page=True)

    expect(phone.get_by_text("Pilih sedikitnya satu; bila ragu pilih Belum diketahui.")).to_be_visible()
    expect(phone.get_by_role("alert")).to_have_text("Ada isian yang perlu diperbaiki.")
    assert phone.get_by_label("Ceritakan dengan kata-kata Anda").input_value() == story
    assert phone.get_by_label("Apakah anak terluka?").input_value() == "no"
    assert phone.get_by_label("Kelurahan tempat tinggal anak").locator("option:checked").inner_text() == (
        "Bandar Lor (Mojoroto)"
    )
    assert phone.get_by_label("Umur (tahun)").input_value() == "9"
    assert phone.locator("#child_name").input_value() == "Wenthilora Paksibumi"


def test_a_corrected_form_is_taken(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor#whole")
    phone.get_by_label("Ceritakan dengan kata-kata Anda").fill("Anak itu sering sendirian.")
    phone.get_by_role("button", name="Kirim").click()
    phone.get_by_label("Penelantaran").check()
    phone.get_by_role("button", name="Kirim").click()

    expect(phone.get_by_role("heading", name="Laporan diterima")).to_be_visible()


def test_nothing_scrolls_sideways_on_a_narrow_phone(city: LocalCity, scripted: Page) -> None:
    scripted.goto(city.url("intake") + "/lapor#whole")
    scripted.get_by_text("Identitas anak (boleh kosong").click()
    form = too_wide(scripted)
    scripted.get_by_role("button", name="Kirim").click()
    problem = too_wide(scripted)
    scripted.get_by_label("Fisik").check()
    scripted.get_by_role("button", name="Kirim").click()
    expect(scripted.get_by_role("heading", name="Laporan diterima")).to_be_visible()

    assert (form, problem, too_wide(scripted)) == (0, 0, 0)


def test_the_title_in_the_history_says_nothing_of_violence(city: LocalCity, phone: Page) -> None:
    titles = []
    for language in ("id", "en"):
        phone.goto(f"{city.url('intake')}/lapor?lang={language}")
        titles.append(phone.title())

    assert titles == ["Formulir layanan", "Service form"]


def test_safety_comes_first_and_each_short_page_works_without_a_script(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor")
    expect(phone.get_by_role("link", name="129")).to_be_in_viewport()
    phone.get_by_label("Apakah anak aman sekarang?").select_option("Tidak")
    expect(phone.get_by_label("Fisik")).to_be_hidden()
    phone.get_by_role("link", name="Lanjut").locator("visible=true").click()
    phone.get_by_label("Fisik").check()
    for _ in range(4):
        expect(phone.get_by_role("button", name="Kirim")).to_be_hidden()
        phone.get_by_role("link", name="Lanjut").locator("visible=true").click()
    phone.get_by_label("Siapa Anda?").select_option("Tetangga")
    phone.get_by_role("button", name="Kirim").click()

    expect(phone.get_by_role("heading", name="Laporan diterima")).to_be_visible()


def test_three_escapes_leave_the_page_without_a_way_back(city: LocalCity, scripted: Page) -> None:
    scripted.context.route("https://www.bmkg.go.id/", lambda route: route.fulfill(body="<title>BMKG</title>"))
    scripted.goto(city.url("intake") + "/lapor")
    barriers = find_barriers(scripted)
    for _ in range(2):
        scripted.keyboard.press("Escape")
    scripted.get_by_label("Apakah anak aman sekarang?").press("Escape")

    expect(scripted).to_have_title("BMKG")
    scripted.go_back()
    assert "lapor" not in scripted.url
    assert barriers == []


def test_a_person_can_leave_the_page_at_once(city: LocalCity, phone: Page) -> None:
    phone.goto(city.url("intake") + "/lapor#whole")

    expect(phone.get_by_role("link", name="Tinggalkan halaman ini")).to_be_in_viewport()


def test_the_desk_shows_the_referrals_of_a_report(city: LocalCity, phone: Page, browser: Browser) -> None:
    phone.goto(city.url("intake") + "/lapor#whole")
    phone.get_by_label("Fisik").check()
    phone.get_by_label("Apakah anak terluka?").select_option("Ya")
    phone.get_by_label("Kelurahan tempat tinggal anak").select_option("Bandar Lor (Mojoroto)")
    phone.get_by_role("button", name="Kirim").click()
    reference = phone.locator("#reference").inner_text()

    desk = browser.new_page(viewport={"width": 1200, "height": 800})
    person = sign_in_browser(city.database_url("desk"), city_roles={Role.COORDINATOR: "uptd-ppa"})
    desk.context.add_cookies([person.cookie_for(city.url("desk"))])
    try:
        desk.goto(city.url("desk") + "/city")
        # New cases appear without a reload.
        expect(desk.get_by_role("row").filter(has_text=reference).first).to_be_visible()
        desk.screenshot(path=SHOTS / "desk.png")
        assert reference in desk.get_by_role("table").inner_text()
    finally:
        desk.close()


def test_a_browser_finds_the_proof_of_work_while_the_form_is_filled_in(city: LocalCity, scripted: Page) -> None:
    complaints: list[str] = []
    scripted.on("console", lambda message: complaints.append(message.text))
    scripted.goto(city.url("intake") + "/lapor#whole")
    scripted.get_by_label("Ceritakan dengan kata-kata Anda").fill("Tetangga mendengar teriakan.")

    expect(scripted.locator("input[name=proof]")).not_to_have_value("", timeout=120_000)

    report_id, proof = (scripted.locator(f"input[name={name}]").input_value() for name in ("report_id", "proof"))
    assert is_proven(UUID(report_id), proof)
    assert complaints == []

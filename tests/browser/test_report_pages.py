"""A member of an agency files reports in a real browser: on a phone, without scripts, one at a time and as a table."""

import re
import secrets
from pathlib import Path

from playwright.sync_api import Page, expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import DESKTOP, SHOTS, Open
from tests.browser.test_work_pages import reload_until, report, row, too_wide
from tests.support.accessibility import find_barriers


def invented_name() -> str:
    """Returns a name that resembles no other, so that no child counts as one reported before."""
    return " ".join("".join(secrets.choice("bdgjklmnprstw") + secrets.choice("aiueo") for _ in range(5)) for _ in "12")


def file_report(page: Page, name: str, *, injured: str = "Tidak", age: str = "9") -> None:
    answers = {"Apakah anak aman sekarang?": "Ya", "Apakah anak terluka?": injured}
    answers["Ada tanda ingin mengakhiri hidup?"] = "Tidak"
    for question, answer in answers.items():
        page.get_by_role("group", name=question).get_by_label(answer, exact=True).check()
    page.get_by_label("Fisik").check()
    page.get_by_label("Nama anak").fill(name)
    page.get_by_label("Umur (tahun)").fill(age)
    page.get_by_label("Kelurahan tempat tinggal anak").select_option("Bandar Lor (Mojoroto)")
    page.get_by_role("button", name="Kirim laporan").click()


def test_a_member_files_a_report_on_a_phone_and_it_comes_back_as_work(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page("/report", java_script_enabled=False)
    expect(page.get_by_text("Anda melapor untuk Rumah sakit rujukan dan puskesmas.")).to_be_visible()
    assert too_wide(page) == 0
    file_report(page, invented_name(), injured="Ya")

    expect(page.get_by_role("heading", name="Laporan tersimpan")).to_be_visible()
    page.screenshot(path=SHOTS / "desk-report-stored.png", full_page=True)
    found = re.search(r"K-[0-9A-Z]{4}-[0-9A-Z]{4}", page.content())
    assert found
    # Eleven words, which the reporting person takes along.
    receipt = page.locator("dd").last.inner_text()
    assert len(re.split(r"[\s-]+", receipt.strip())) == 11
    page.goto(hosting_city.url("desk") + "/report/filed")
    filed = row(page, found[0])
    expect(filed).to_contain_text("diterima")
    assert too_wide(page) == 0
    filed.get_by_text("Kata kunci hilang?").click()
    filed.get_by_role("button", name="Buat kata kunci baru").click()
    expect(row(page, found[0])).to_contain_text("Kata kunci lama tidak berlaku lagi.")
    page.goto(hosting_city.url("desk") + "/work")
    reload_until(page, lambda: row(page, found[0]).count() == 1)


def test_a_child_who_was_reported_before_is_held_back_until_a_reason_is_given(open_page: Open) -> None:
    page, name = open_page("/report", viewport=DESKTOP), invented_name()
    file_report(page, name, age="12")
    expect(page.get_by_role("heading", name="Laporan tersimpan")).to_be_visible()
    page.get_by_role("link", name="Buat laporan lain").click()
    file_report(page, name, age="12")

    expect(page.get_by_text("Anak ini mungkin sudah pernah dilaporkan")).to_be_visible()
    expect(page.get_by_label("Nama anak")).to_have_value(name)
    assert find_barriers(page) == []
    page.get_by_label("Mengapa tetap dikirim?").select_option("Anak yang sama, dan ada kejadian baru")
    page.get_by_role("button", name="Tetap kirim").click()
    expect(page.get_by_role("heading", name="Laporan tersimpan")).to_be_visible()


def test_what_intake_refuses_is_shown_at_its_field(open_page: Open) -> None:
    page = open_page("/report")
    page.get_by_label("Nama anak").fill(invented_name())
    page.get_by_role("button", name="Kirim laporan").click()

    expect(page.get_by_role("heading", name="Laporan belum terkirim")).to_be_visible()
    expect(page.locator("#violence-error")).to_be_visible()
    assert find_barriers(page) == []
    page.screenshot(path=SHOTS / "desk-report-refused.png", full_page=True)


def test_a_table_is_looked_through_and_sent(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/report/table")
    assert find_barriers(page) == []
    assert too_wide(page) == 0
    table = tmp_path / "laporan.csv"
    rows = [f"Fisik;{invented_name()};{age};Bandar Lor" for age in (3, 15)]
    header = "Jenis kekerasan;Nama anak;Umur (tahun);Kelurahan tempat tinggal anak"
    table.write_text("\n".join([header, *rows, "Gaib;Lain;7;Bandar Lor"]))
    page.get_by_label("Berkas CSV").set_input_files(table)
    page.get_by_role("button", name="Periksa tabel").click()

    expect(page.get_by_text("2 dari 3 baris dapat dikirim")).to_be_visible()
    expect(page.get_by_text("Gaib tidak dikenal")).to_be_visible()
    assert find_barriers(page) == []
    page.get_by_role("button", name="Kirim 2 laporan").click()
    expect(page.get_by_role("heading", name="2 dari 2 baris selesai")).to_be_visible()
    assert len(set(re.findall(r"K-[0-9A-Z]{4}-[0-9A-Z]{4}", page.content()))) == 2
    assert find_barriers(page) == []


def test_the_agency_that_referred_the_child_answers_a_question(hosting_city: LocalCity, open_page: Open) -> None:
    reference, wanted = report(hosting_city), "Apakah anak menginap di rumah bibinya?"
    page = open_page(java_script_enabled=False)
    reload_until(page, lambda: reference in page.content())
    row(page, reference).get_by_role("link").click()
    page.get_by_role("button", name="Terima layanan yang dipilih").click()
    page.get_by_role("link", name="Siapa lagi yang menangani anak ini").click()
    # Routing has yet to read that the hospital accepted.
    reload_until(page, lambda: page.get_by_label("Yang perlu diketahui lembaga Anda").count() == 1)
    assert too_wide(page) == 0

    def send() -> bool:
        page.get_by_label("Yang perlu diketahui lembaga Anda").fill(wanted)
        page.get_by_role("button", name="Kirim pertanyaan").click()
        if page.get_by_text("Belum ada yang dikirim").count():
            page.go_back()
            return False
        return True

    reload_until(page, send)
    centre = open_page("/report/filed", memberships={"uptd-ppa": Role.RESPONDER}, name="Sari Rekaan", viewport=DESKTOP)
    centre.get_by_role("link", name="Baca dan jawab").click()
    assert find_barriers(centre) == []
    question = centre.locator("form").filter(has=centre.get_by_label("Jawaban Anda")).last
    expect(centre.get_by_text(wanted).first).to_be_visible()
    question.get_by_label("Jawaban Anda").fill("Ya, setiap akhir pekan.")
    question.get_by_role("button", name="Kirim jawaban").click()

    expect(centre.get_by_text("Ya, setiap akhir pekan.")).to_be_visible()
    page.get_by_role("link", name="Siapa lagi yang menangani anak ini").click()
    expect(page.get_by_text("Ya, setiap akhir pekan.")).to_be_visible()
    page.screenshot(path=SHOTS / "desk-question-phone.png", full_page=True)

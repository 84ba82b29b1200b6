"""The coordinator in a real browser: the board moves by itself, and decisions are routing's, made as that person."""

import re
from datetime import datetime

from playwright.sync_api import Page, expect

from simpul_cli.doctor.examination import Examination
from simpul_cli.doctor.finding import critical, warning
from simpul_cli.doctor.publishing import publish_examination
from simpul_cli.languages import Message
from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from simpul_runtime.database import utc_now
from tests.browser.conftest import DESKTOP, HOSPITAL, PHONE, SHOTS, Open
from tests.browser.test_work_pages import reload_until, report, row, too_wide
from tests.support.accessibility import find_barriers
from tests.support.desk import run_aside

COORDINATOR = {"memberships": {}, "city_roles": {Role.COORDINATOR: "uptd-ppa"}}


def board(open_page: Open, **options: object) -> Page:
    return open_page("/city", name="Kinanti Rekaan", **COORDINATOR, **options)


def test_a_case_appears_on_the_board_with_its_rights(hosting_city: LocalCity, open_page: Open) -> None:
    page = board(open_page, viewport=DESKTOP)
    expect(page.get_by_role("heading", name="Papan kota")).to_be_visible()
    page.wait_for_timeout(500)
    reference = report(hosting_city)

    row = page.get_by_role("row").filter(has_text=reference)
    expect(row).to_be_visible()
    expect(row).to_contain_text("Cepat: dirujuk")
    expect(row).to_contain_text("Rumah sakit rujukan")
    page.screenshot(path=SHOTS / "desk-city-board.png", full_page=True)
    assert find_barriers(page) == []

    page.set_viewport_size(PHONE)
    assert too_wide(page) == 0


def test_the_coordinator_confirms_a_plan_and_leaves_a_service_out(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city, violence=["physical", "psychological"])
    page = board(open_page, viewport=DESKTOP)
    expect(page.get_by_role("row").filter(has_text=reference)).to_be_visible()
    page.goto(hosting_city.url("desk") + "/city/plans")
    page.get_by_role("row").filter(has_text=reference).get_by_role("link").click()

    plan = page.locator("form").filter(has=page.get_by_role("button", name="Sahkan rencana"))
    expect(plan).to_be_visible()
    page.screenshot(path=SHOTS / "desk-plan.png", full_page=True)
    assert find_barriers(page) == []
    plan.get_by_role("checkbox").last.uncheck()
    plan.get_by_label("Alasan meniadakan suatu layanan").fill("Anak sudah mendapat layanan ini.")
    page.get_by_role("button", name="Sahkan rencana").click()

    expect(page.get_by_role("heading", name=re.compile(reference))).to_be_visible()
    expect(page.get_by_role("button", name="Sahkan rencana")).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("Rencana layanan disahkan.")
    expect(page.get_by_text("Ditiadakan dari rencana")).to_be_visible()
    rights = page.locator("dl").first
    expect(rights).not_to_contain_text("agreement")
    expect(page.get_by_text("Koordinator kasus").first).to_be_visible()


def test_the_coordinator_sees_to_whom_a_service_was_passed_on(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    hospital = open_page()
    expect(row(hospital, reference)).to_be_visible()
    row(hospital, reference).get_by_role("link").click()
    hospital.get_by_text("Lembaga saya tidak dapat melayani").first.click()
    hospital.get_by_label("Alasan").select_option("Tidak ada kapasitas")
    hospital.get_by_role("button", name="Limpahkan layanan yang dipilih").click()
    expect(hospital.get_by_role("heading", name=re.compile(reference))).to_be_visible()

    page = board(open_page, viewport=DESKTOP)
    page.get_by_role("row").filter(has_text=reference).get_by_role("link").click()
    chain = page.get_by_role("listitem").filter(has_text=re.compile("Rumah sakit rujukan.*→"))
    reload_until(page, lambda: chain.count() > 0)
    expect(chain.first).to_contain_text("Visum")
    assert find_barriers(page) == []


def test_the_operator_sees_what_the_doctor_found(hosting_city: LocalCity, open_page: Open) -> None:
    blocked = critical("broker_blocked", Message("the broker blocks everybody who publishes"), "rabbitmqctl status")
    old = warning("backup_old", Message("the newest backup is 30 hours old"), "simpul backup create")
    found = Examination([blocked, old], ["vault"])
    run_aside(publish_examination(found, hosting_city.database_url("desk"), utc_now()))
    page = open_page("/", name="Sekar Rekaan", memberships={}, city_roles={Role.OPERATOR: "uptd-ppa"}, viewport=DESKTOP)

    expect(page.get_by_role("heading", name="Keadaan sistem")).to_be_visible()
    expect(page.get_by_role("row").nth(1)).to_contain_text("broker_blocked")
    expect(page.get_by_text("simpul backup create")).to_be_visible()
    page.screenshot(path=SHOTS / "desk-doctor.png", full_page=True)
    assert find_barriers(page) == []

    page.set_viewport_size(PHONE)
    assert too_wide(page) == 0
    assert find_barriers(page) == []


def test_the_lists_of_the_coordinator_open(hosting_city: LocalCity, open_page: Open) -> None:
    page = board(open_page, viewport=PHONE)
    lists = ("cases", "triage", "duplicates", "plans", "exclusions", "machines")
    for path in (*(f"/city/{name}" for name in lists), "/agreements", "/agreements/2026-11"):
        answer = page.goto(hosting_city.url("desk") + path)
        assert answer is not None
        assert answer.status == 200
        assert find_barriers(page) == []
        assert too_wide(page) == 0
    assert page.request.get(hosting_city.url("desk") + "/city/unknown", headers={"Accept": "text/html"}).status == 404


def test_a_lead_sees_the_load_of_the_team(hosting_city: LocalCity, open_page: Open) -> None:
    report(hosting_city)
    page = open_page("/team", memberships={HOSPITAL: Role.AGENCY_LEAD}, viewport=DESKTOP)

    expect(page.get_by_role("heading", name="Rumah sakit rujukan dan puskesmas")).to_be_visible()
    expect(page.get_by_text("belum dibuka siapa pun").first).to_be_visible()
    assert find_barriers(page) == []


def test_a_responder_has_no_city_board(hosting_city: LocalCity, open_page: Open) -> None:
    page = open_page()

    statuses = [
        page.request.get(hosting_city.url("desk") + path, headers={"Accept": "text/html"}).status
        for path in ("/city", "/city/cases", "/city/live", "/city/plans", "/team")
    ]
    assert statuses == [404] * 5


def test_the_coordinator_takes_the_register_of_a_month_as_files(hosting_city: LocalCity, open_page: Open) -> None:
    reference = report(hosting_city)
    page = board(open_page, viewport=PHONE)
    reload_until(page, lambda: page.get_by_role("row").filter(has_text=reference).count() > 0)
    page.goto(hosting_city.url("desk") + "/city/indicators")
    assert find_barriers(page) == []
    assert too_wide(page) == 0
    month = datetime.now(hosting_city.city.zone).strftime("%Y-%m")
    page.get_by_label("Bulan", exact=True).fill(month)

    saved = {}
    for kind in ("CSV", "XLSX"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        saved[download.value.suggested_filename] = download.value.path().read_bytes()

    assert set(saved) == {f"simpul-register-{month}.csv", f"simpul-register-{month}.xlsx"}
    assert reference.encode() in saved[f"simpul-register-{month}.csv"]
    assert saved[f"simpul-register-{month}.xlsx"].startswith(b"PK")

"""A lead looks after the duty roster in a real browser, on a phone and at a desk; notify keeps it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from ruamel.yaml import YAML

from simpul_city import read_yaml
from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import DESKTOP, HOSPITAL, PHONE, SHOTS, Open
from tests.browser.test_work_pages import too_wide
from tests.support.accessibility import find_barriers

LEAD = {HOSPITAL: Role.AGENCY_LEAD}


@pytest.fixture(scope="module")
def roster_city(hosting_city: LocalCity) -> Iterator[LocalCity]:
    """The city with notify, and a second person on duty at the hospital."""
    path, kept = hosting_city.city_dir / "roster.yaml", hosting_city.folder / "roster.yaml"
    shutil.copy(path, kept)
    described = read_yaml(path)
    first = described["on_duty"][HOSPITAL][0]
    described["on_duty"][HOSPITAL].append({**first, "responder": "rs-rujukan-2", "sms": "083400111016"})
    described["duty"] = {HOSPITAL: {"weekly": ["rs-rujukan-1", "rs-rujukan-2"], "starts": "2026-01-05 08:00"}}
    YAML(typ="safe", pure=True).dump(described, path)
    hosting_city.start("handset", "notify")
    hosting_city.wait_ready("notify")
    yield hosting_city
    for name in ("notify", "handset"):
        hosting_city.kill(name)
    shutil.move(kept, path)


def enter(page: Page, responder: str, kind: str) -> None:
    page.get_by_label("Orang", exact=True).select_option(responder)
    page.get_by_label("Jenis").select_option(kind)
    page.get_by_label("Dari").fill("2099-12-01T08:00")
    page.get_by_label("Sampai").fill("2099-12-03T08:00")
    page.get_by_role("button", name="Catat").click()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_lead_enters_an_absence_and_removes_it(roster_city: LocalCity, open_page: Open, viewport: object) -> None:
    page = open_page("/roster", memberships=LEAD, viewport=viewport)
    page.get_by_role("link", name="Rumah sakit rujukan").click()
    expect(page.get_by_role("heading", name="Sedang piket")).to_be_visible()
    expect(page.get_by_text("+6283400111016")).to_be_visible()
    assert find_barriers(page) == []
    assert too_wide(page) == 0

    enter(page, "rs-rujukan-1", "tidak bertugas")
    expect(page.get_by_role("status")).to_contain_text("Sudah dicatat")
    enter(page, "rs-rujukan-2", "tidak bertugas")
    expect(page.get_by_role("alert")).to_contain_text("tidak akan ada petugas piket yang dapat dihubungi")
    assert find_barriers(page) == []
    assert too_wide(page) == 0
    page.screenshot(path=SHOTS / f"desk-roster-{viewport['width']}.png", full_page=True)  # type: ignore[index]

    page.get_by_role("button", name="Hapus rs-rujukan-1").click()
    expect(page.get_by_role("status")).to_contain_text("Sudah dihapus")


def test_a_table_of_the_office_is_looked_through_and_entered(
    roster_city: LocalCity, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(f"/roster/{HOSPITAL}/table", memberships=LEAD, java_script_enabled=False)
    table = tmp_path / "piket.csv"
    rows = ["piket;rs-rujukan-2;2099-11-01;2099-11-02", "piket;siapa;2099-11-01;2099-11-02", "cuti;rs-rujukan-1;x;y"]
    table.write_text("\n".join(["Jenis;Nama di jadwal;Dari;Sampai", *rows]))
    page.get_by_label("Berkas CSV").set_input_files(table)
    page.get_by_role("button", name="Periksa tabel").click()

    expect(page.get_by_text("1 dari 3 baris dapat dicatat")).to_be_visible()
    expect(page.get_by_text("Tidak ada petugas dengan nama ini di jadwal.")).to_be_visible()
    assert too_wide(page) == 0
    page.get_by_role("button", name="Catat 1 baris").click()
    expect(page.get_by_role("status")).to_contain_text("Baris-baris itu sudah dicatat.")
    page.get_by_role("button", name="Hapus rs-rujukan-2").click()


def test_a_coordinator_sees_every_roster_without_numbers(roster_city: LocalCity, open_page: Open) -> None:
    page = open_page("/roster", memberships={}, city_roles={Role.COORDINATOR: "uptd-ppa"}, viewport=DESKTOP)
    assert find_barriers(page) == []
    page.get_by_role("link", name="Rumah sakit rujukan").click()

    expect(page.get_by_role("heading", name="Sedang piket")).to_be_visible()
    assert "83400" not in page.content()
    expect(page.get_by_role("button", name="Catat")).to_have_count(0)

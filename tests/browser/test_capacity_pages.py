"""A lead states what the hospital can take, and reads who acts for which case; the coordinator sees the room of all."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.browser.conftest import DESKTOP, HOSPITAL, PHONE, SHOTS, Open
from tests.browser.test_city_pages import COORDINATOR
from tests.browser.test_work_pages import report, row, too_wide
from tests.support.accessibility import find_barriers

LEAD = {HOSPITAL: Role.AGENCY_LEAD}


@pytest.mark.parametrize(("viewport", "limit"), [(PHONE, "41"), (DESKTOP, "42")], ids=["phone", "desktop"])
def test_a_lead_states_a_limit_that_the_coordinator_sees(open_page: Open, viewport: object, limit: str) -> None:
    page = open_page("/capacity", memberships=LEAD, viewport=viewport)
    group = page.get_by_role("group", name="Psikolog", exact=True)
    expect(group).to_be_visible()
    expect(page.get_by_text("Layanan ini selalu dikirim kepada Anda").first).to_be_visible()
    page.screenshot(path=SHOTS / f"desk-capacity-{limit}.png", full_page=True)
    assert find_barriers(page) == []
    assert too_wide(page) == 0

    group.get_by_label("Kasus terbuka sekaligus, paling banyak").fill("0")
    group.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("alert")).to_contain_text("bilangan bulat dari 1 sampai 10.000")
    assert find_barriers(page) == []
    group.get_by_label("Kasus terbuka sekaligus, paling banyak").fill(limit)
    group.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("status")).to_contain_text("Tersimpan")

    board = open_page("/capacity", name="Kinanti Rekaan", viewport=viewport, **COORDINATOR)
    expect(board.get_by_role("row", name=re.compile(rf"Rumah sakit.*Psikolog.*dari {limit}"))).to_be_visible()
    assert find_barriers(board) == []
    assert too_wide(board) == 0


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_lead_sees_which_member_acts_for_a_case(hosting_city: LocalCity, open_page: Open, viewport: object) -> None:
    reference = report(hosting_city)
    name = f"Ratna {uuid4().hex[:6]}"
    nurse = open_page("/work", name=name, viewport=DESKTOP)
    row(nurse, reference).get_by_role("link").first.click()
    nurse.get_by_role("button", name="Terima", exact=False).first.click()
    expect(nurse.get_by_text("Mulai").first).to_be_visible()

    page = open_page("/team", name="Sri Rekaan", memberships=LEAD, viewport=viewport)
    member = page.get_by_role("link", name=name)
    expect(member).to_be_visible()
    assert find_barriers(page) == []
    assert too_wide(page) == 0
    member.click()
    expect(page.get_by_role("listitem").filter(has_text=reference)).to_contain_text("menanganinya")
    assert find_barriers(page) == []
    assert too_wide(page) == 0

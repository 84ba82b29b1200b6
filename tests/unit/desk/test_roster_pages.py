"""The roster at the desk: its lead enters absences and shifts, one by a form or many by a table."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.service_api import ServiceRefused
from simpul_desk.team_pages.roster import RosterPages, add_roster_pages
from simpul_desk.team_pages.roster_table import TableUnreadable, pack, read_table, unpack, write_example
from simpul_runtime.database import utc_now
from tests.support.agreements import CITY, kediri
from tests.support.asgi_browser import AsgiBrowser, Page

COORDINATOR = User(UUID(int=1), "Wiji Rekaan", "en", {}, {Role.COORDINATOR: "uptd-ppa"})
LEAD = User(UUID(int=2), "Sri Rekaan", "id", {"ylpa": Role.AGENCY_LEAD}, {})
SECRET = "secret"
NOW = utc_now()
GAP = {"starts_at": "2026-12-01T00:00:00+07:00", "ends_at": "2026-12-02T00:00:00+07:00"}
WEEK = {"starts_at": NOW.isoformat(), "ends_at": (NOW + timedelta(days=7)).isoformat()}


def a_roster(*, may_change: bool) -> dict[str, Any]:
    contact = {"method": "sms", "address": "+6283400111003" if may_change else "…003", "is_verified": True}
    person = {"is_lead": False, "is_on_duty": True, "is_away": False, "contacts": [contact]}
    unreachable = {"method": "mail", "address": "", "is_verified": False}
    return {
        "party": "ylpa",
        "on_duty": ["ylpa-1", "ylpa-2"],
        "gaps": [GAP],
        "may_change": may_change,
        "has_rotation": True,
        "known_until": None,
        "people": [
            person | {"responder": "ylpa-1"},
            person | {"responder": "ylpa-2", "contacts": [unreachable], "is_on_duty": False},
        ],
        "weeks": [WEEK | {"shifts": [WEEK | {"responder": "ylpa-1"}], "gaps": []}],
        "entries": [
            WEEK | {"change_id": str(UUID(int=7)), "kind": "absence", "responder": "ylpa-2"},
            WEEK | {"change_id": None, "kind": "shift", "responder": "ylpa-1"},
        ],
    }


@dataclass
class Notify:
    """Has the roster of one agency, and answers as notify's API."""

    refused: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)

    async def get(self, actor: Any, path: str, **query: Any) -> Any:
        is_lead = actor.role.value == "agency_lead"
        if path == "/rosters":
            shown = {name: a_roster(may_change=is_lead)[name] for name in ("party", "on_duty", "gaps")}
            return SimpleNamespace(content={"parties": [shown]})
        if path not in ("/rosters/ylpa", "/rosters/ylpa/calendar.ics") or actor.agency not in ("ylpa", "uptd-ppa"):
            raise ServiceRefused(404, {"code": "unknown", "messages": {}})
        return SimpleNamespace(content="BEGIN:VCALENDAR" if "ics" in path else a_roster(may_change=is_lead))

    async def call(self, actor: Any, method: str, path: str, body: Any = None, *, query: Any = None) -> Any:
        self.calls.append((method, path, body))
        is_preview = (query or {}).get("preview") == "true"
        return SimpleNamespace(content={"is_stored": not (self.refused or is_preview), "refused": self.refused})


def browser_of(user: User, notify: Notify) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    client: Any = notify
    web = FastAPI()
    web.state.find_user = find_user
    add_roster_pages(web, RosterPages(CITY, client, kediri))
    return AsgiBrowser(web, cookies={SESSION_COOKIE: SECRET})


async def send(browser: AsgiBrowser, target: str, **fields: str) -> Page:
    return await browser.post(target, {FORM_FIELD: form_token_of(SECRET), **fields})


async def test_a_lead_sees_who_is_on_duty_and_the_own_numbers() -> None:
    page = await browser_of(LEAD, Notify()).get("/roster/ylpa")

    assert page.status == 200
    assert "ylpa-1 , lalu ylpa-2" in page.shown_text
    assert "+6283400111003" in page.shown_text
    assert "mail: belum terverifikasi" in page.shown_text
    assert "Tidak ada petugas piket yang dapat dihubungi dari Selasa, 1 Desember 2026" in page.shown_text
    # What stands in the city's folder is changed there.
    assert page.text.count("/remove") == 1


async def test_a_coordinator_sees_every_roster_with_masked_numbers_and_changes_none() -> None:
    notify = Notify()
    browser = browser_of(COORDINATOR, notify)

    listed, page = await browser.get("/roster"), await browser.get("/roster/ylpa")
    refused = [
        (await browser.get("/roster/ylpa/table")).status,
        (await send(browser, "/roster/ylpa/entries", kind="shift")).status,
        (await send(browser, f"/roster/ylpa/entries/{UUID(int=7)}/remove")).status,
    ]

    assert "nobody from Tuesday, 1 December 2026" in listed.shown_text
    assert "83400" not in page.text
    assert "…003" in page.shown_text
    assert refused == [404] * 3
    assert notify.calls == []


@pytest.mark.parametrize("path", ["/roster/rs-rujukan", "/roster/nowhere"])
async def test_another_roster_does_not_exist(path: str) -> None:
    assert (await browser_of(LEAD, Notify()).get(path)).status == 404


async def test_what_is_typed_is_sent_in_the_time_of_the_city() -> None:
    notify = Notify()
    page = await send(
        browser_of(LEAD, notify),
        "/roster/ylpa/entries",
        kind="absence",
        responder="ylpa-2",
        starts_at="2026-12-01T08:00",
        ends_at="2026-12-03T08:00",
    )

    assert (page.status, page.location) == (303, "/roster/ylpa?done=added")
    entry = {
        "kind": "absence",
        "responder": "ylpa-2",
        "starts_at": "2026-12-01T08:00:00+07:00",
        "ends_at": "2026-12-03T08:00:00+07:00",
    }
    assert notify.calls == [("POST", "/rosters/ylpa/entries", {"entries": [entry]})]


async def test_a_gap_is_refused_in_a_sentence_and_what_was_typed_stays() -> None:
    notify = Notify(refused=[{"position": 0, "problem": "leaves_gap", "gap": GAP}])
    page = await send(
        browser_of(LEAD, notify),
        "/roster/ylpa/entries",
        kind="absence",
        responder="ylpa-2",
        starts_at="2026-12-01T00:00",
        ends_at="2026-12-02T00:00",
    )

    assert page.status == 422
    assert "tidak akan ada petugas piket yang dapat dihubungi" in page.shown_text
    assert "Selasa, 1 Desember 2026 pukul 00.00 WIB" in page.shown_text
    assert 'value="2026-12-01T00:00"' in page.text


async def test_a_form_without_a_time_says_so() -> None:
    notify = Notify()

    page = await send(browser_of(LEAD, notify), "/roster/ylpa/entries", kind="absence", responder="ylpa-2")

    assert page.status == 422
    assert "Isi hari dan jam mulai serta selesai." in page.shown_text
    assert notify.calls == []


async def test_an_entry_is_removed_unless_it_must_stay() -> None:
    notify = Notify()
    browser = browser_of(LEAD, notify)
    target = f"/roster/ylpa/entries/{UUID(int=7)}/remove"
    assert (await send(browser, target)).location == "/roster/ylpa?done=removed"
    notify.refused = [{"position": 0, "problem": "leaves_gap", "gap": GAP}]

    page = await send(browser, target)

    assert page.status == 422
    assert "Catat dahulu siapa penggantinya." in page.shown_text


async def test_a_calendar_is_a_file() -> None:
    page = await browser_of(LEAD, Notify()).get("/roster/ylpa/calendar.ics")

    assert page.header("content-type") == "text/calendar; charset=utf-8"
    assert page.header("content-disposition") == 'attachment; filename="simpul-ylpa.ics"'


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("language", ["id", "en"])
def test_a_table_of_an_office_is_read(delimiter: str, language: str) -> None:
    heading = {"id": "Jenis;Nama di jadwal;Dari;Sampai", "en": "Kind;Name in the roster;From;Until"}[language]
    lines = [heading, "piket;ylpa-1;2026-12-01;2026-12-02", "away;ylpa-2;01/12/2026 08.00;2/12/2026 16:30"]
    content = "\n".join(lines).replace(";", delimiter).encode("utf-8-sig")

    shift, absence = read_table(content, CITY, language)

    assert (shift.number, shift.kind, shift.responder, shift.problem) == (2, "shift", "ylpa-1", "")
    # A day is meant as a whole.
    assert shift.as_json()["ends_at"] == "2026-12-03T00:00:00+07:00"
    assert absence.as_json() == {
        "kind": "absence",
        "responder": "ylpa-2",
        "starts_at": "2026-12-01T08:00:00+07:00",
        "ends_at": "2026-12-02T16:30:00+07:00",
    }


def test_each_row_says_what_is_wrong_in_it() -> None:
    content = b"Jenis;Nama di jadwal;Dari;Sampai\ncuti;;besok;2026-13-01\npiket;ylpa-1;2026-12-01;2026-12-01"

    bad, good = read_table(content, CITY, "id")

    day = "tulis hari seperti 2026-12-01, atau hari dan jam seperti 2026-12-01 08.00."
    assert bad.problem == (f"Jenis: tulis tidak bertugas, piket. Nama di jadwal: kosong. Dari: {day} Sampai: {day}")
    assert good.problem == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Jenis;Nama di jadwal;Dari\npiket;a;2026-12-01",
        b"Jenis;Nama di jadwal;Dari;Sampai",
        b"\0\0",
        b'"unended',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(TableUnreadable):
        read_table(content, CITY, "en")


def test_the_example_can_be_read_and_rows_survive_the_preview() -> None:
    example = write_example(["ylpa-1", "ylpa-2"], "id", datetime(2026, 11, 27, tzinfo=CITY.zone))

    rows = read_table(example.encode(), CITY, "id")

    assert [row.problem for row in rows] == ["", ""]
    assert unpack(pack(rows)) == rows
    assert [unpack(text) for text in ("", "[]", "[[1]]", '[[1, {"kind": "x"}]]', "null")] == [[]] * 5


async def test_rows_are_stored_after_the_preview_and_a_refusal_names_its_row() -> None:
    rows = read_table(b"Kind;Name in the roster;From;Until\nshift;ylpa-1;2026-12-01;2026-12-02", CITY, "en")
    notify = Notify(refused=[{"position": 0, "problem": "unknown_responder", "gap": None}])
    browser = browser_of(LEAD, notify)

    refused = await send(browser, "/roster/ylpa/table/store", rows=pack(rows))
    notify.refused = []
    stored = await send(browser, "/roster/ylpa/table/store", rows=pack(rows))

    assert "0 dari 1 baris dapat dicatat" in refused.shown_text
    assert "Tidak ada petugas dengan nama ini di jadwal." in refused.shown_text
    assert (stored.status, stored.location) == (303, "/roster/ylpa?done=table")

"""The coordinator's files: the recap of months with small numbers hidden, and the register in the city's order."""

import csv
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_city import CityInvalid
from simpul_desk.access import Role, User
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.register import add_register
from simpul_desk.city_pages.register_columns import FIELDS, USUAL, Column, read_columns
from simpul_desk.live import LiveChannels
from simpul_desk.table_files import Sheet, neutralize, write_csv, write_xlsx
from tests.support.agreements import CITY, KEDIRI
from tests.support.asgi_browser import AsgiBrowser

COORDINATOR = User(UUID(int=1), "Wiji Rekaan", "id", {}, {Role.COORDINATOR: "uptd-ppa"})
CASE = {
    "case_id": str(UUID(int=5)),
    "reference": "K-7K3Q-2M9F",
    "violence": ["sexual", "psychological"],
    "sex": "female",
    "age_band": "under_6",
    "happened_at": "2026-11-24T21",
    "place": "household",
    "event_kecamatan": "Mojoroto",
    "kecamatan": "=Kota",
    "perpetrator_relation": "parent",
    "perpetrator_is_child": "no",
    "received_at": "2026-11-24T20:00:00Z",
    "urgency": "high",
    "state": "received",
    "ended_at": None,
    "services": [
        {"agency": "rs-rujukan", "service": "medical_care", "state": "completed", "outcome": "served"},
        {"agency": "rs-rujukan", "service": "forensic_exam", "state": "offered", "outcome": None},
    ],
}
SERVICES = [{"key": "rs-rujukan", "offered": 12, "accepted": None}, {"key": "all", "offered": 12, "accepted": None}]


@dataclass
class Routing:
    """Has two cases of a month, one on each page, and answers as routing's API."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def get(self, actor: Any, path: str, **query: Any) -> Any:
        assert actor.role.value == "coordinator"
        self.calls.append((path, query))
        if path == "/register":
            other = CASE | {"case_id": str(UUID(int=6)), "reference": "K-2222-2222"}
            page = {"cases": [other], "next": None} if query["after"] else {"cases": [CASE], "next": "cursor"}
            return SimpleNamespace(content={"month": query["month"], **page})
        figures = {"since": "2026-08", "until": "2026-10", "suppressed_below": 5, "clocks": [], "rights": []}
        return SimpleNamespace(content=figures | {"services": SERVICES if query["by"] == "agency" else []})


def browser_of(user: User, routing: Routing, columns: tuple[Column, ...] = read_columns(KEDIRI)) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    service: Any = SimpleNamespace(engine=None)
    client: Any = routing
    web = FastAPI()
    web.state.find_user = find_user
    add_register(web, CityPages(service, CITY, LiveChannels(), client), columns)
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


async def test_the_register_has_a_row_for_each_case_in_the_order_of_the_city() -> None:
    page = await browser_of(COORDINATOR, Routing()).get("/city/register.csv?month=2026-11")

    heading, first, _ = rows_of(page.text)
    assert page.header("content-disposition") == 'attachment; filename="simpul-register-2026-11.csv"'
    assert heading == [column.name for column in read_columns(KEDIRI)]
    row = dict(zip(heading, first, strict=True))
    assert (row["No. Register"], row["Tanggal Kejadian"]) == ("K-7K3Q-2M9F", "2026-11-24")
    # By the time of the city it was received a day later.
    assert row["Tanggal Pelaporan"] == "2026-11-25"
    assert (row["Jenis Kelamin Korban"], row["Hubungan Pelaku dengan Korban"]) == ("Perempuan", "Orang tua")
    assert row["Tindak Kekerasan"].startswith("Seksual, ")
    assert (row["Lembaga Layanan"], row["Hasil Layanan"]) == ("Rumah sakit rujukan dan puskesmas", "Terlayani")
    assert {row[name] for name in ("Nama Korban", "Nama Pelaku", "Deskripsi Kasus")} == {""}


async def test_what_a_spreadsheet_would_take_for_a_formula_is_text() -> None:
    page = await browser_of(COORDINATOR, Routing()).get("/city/register.csv?month=2026-11")

    heading, first, _ = rows_of(page.text)
    assert dict(zip(heading, first, strict=True))["Alamat Korban"] == "'=Kota"
    assert [neutralize(cell) for cell in ("=1", "+62", "-1", "@x", "\t=1", "a=1", "", 5, None)] == [
        "'=1",
        "'+62",
        "'-1",
        "'@x",
        "'\t=1",
        "a=1",
        "",
        5,
        None,
    ]
    assert write_csv([["=1", 5, None]]).decode() == "\ufeff'=1,5,\r\n"


def read_workbook(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_workbook_holds_texts_as_texts_and_numbers_as_numbers() -> None:
    parts = read_workbook(write_xlsx([Sheet("A/B", [["Name", "Count"], ["=SUM(A1)", 5], ["https://x.example", None]])]))

    sheet = parts["xl/worksheets/sheet1.xml"]
    assert "<f>" not in sheet
    assert "<v>5</v>" in sheet
    assert "=SUM(A1)" in parts["xl/sharedStrings.xml"]
    assert "hyperlink" not in sheet
    assert 'name="AB"' in parts["xl/workbook.xml"]


async def test_a_case_that_is_kept_from_the_coordinator_is_left_out() -> None:
    user = User(COORDINATOR.id, "Wiji Rekaan", "id", {}, COORDINATOR.city_roles, frozenset({UUID(int=5)}))
    routing = Routing()

    page = await browser_of(user, routing).get("/city/register.csv?month=2026-11")

    assert [row[0] for row in rows_of(page.text)[1:]] == ["K-2222-2222"]
    wanted = {"month": "2026-11", "without": str(UUID(int=5))}
    assert routing.calls == [("/register", wanted | {"after": ""}), ("/register", wanted | {"after": "cursor"})]


@pytest.mark.parametrize(
    "path", ["/city/register.csv", "/city/register.xlsx?month=2026-13", "/city/register.csv?month=x"]
)
async def test_another_month_does_not_exist(path: str) -> None:
    assert (await browser_of(COORDINATOR, Routing()).get(path)).status == 404


async def test_for_everybody_else_it_does_not_exist() -> None:
    lead = User(UUID(int=2), "Sri Rekaan", "id", {"ylpa": Role.AGENCY_LEAD}, {})
    routing = Routing()
    paths = ("/city/register.csv?month=2026-11", "/city/register.xlsx?month=2026-11", "/city/indicators/recap.xlsx")

    assert [(await browser_of(lead, routing).get(path)).status for path in paths] == [404] * 3
    assert routing.calls == []


def test_a_city_orders_and_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "register.yaml").write_text("columns:\n- {name: Usia, field: age}\n- {name: Nama}\n")

    assert read_columns(tmp_path) == (Column("Usia", "age"), Column("Nama"))


@pytest.mark.parametrize(
    "written", ["columns: []", "- 1", "columns: [{name: Usia, field: agee}]", "columns: [{field: age}]", "columns: [1]"]
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, written: str) -> None:
    (tmp_path / "register.yaml").write_text(written)

    with pytest.raises(CityInvalid, match=r"register\.yaml"):
        read_columns(tmp_path)


def test_the_usual_columns_are_fields_that_exist() -> None:
    assert {column.field for column in read_columns(USUAL.parent) if column.field} <= set(FIELDS)

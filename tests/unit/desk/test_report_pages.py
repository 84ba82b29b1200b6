"""A member of an agency files reports at the desk: one by a form, many by a table, and nothing twice."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.report_pages import ReportPages, add_report_pages
from simpul_desk.report_pages.fields import FIELDS, make_report, usual_values
from simpul_desk.report_pages.routes import BATCH, pack, unpack
from simpul_desk.report_pages.table_reader import MAX_ROWS, TableUnreadable, read_table, write_example
from simpul_desk.service_api import ServiceRefused, ServiceUnavailable
from simpul_intake.api import IdentityIn, NarrativeIn, ReportIn
from simpul_seal import generate
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

SATGAS = "satgas-kel-bandar-lor"
WARD = next(ward for ward in CITY.kelurahan if ward.satgas == SATGAS)
RING, _ = generate("desk", not_before=datetime(2026, 1, 1, tzinfo=UTC), not_after=datetime(2050, 1, 1, tzinfo=UTC))
KEYS: Any = SimpleNamespace(choose_ring=lambda _: RING)
NOW = datetime(2026, 11, 27, tzinfo=UTC)
BEFORE, NEXT = str(UUID(int=8)), str(UUID(int=9))
MEMBER = User(UUID(int=1), "Wiji Rekaan", "en", {SATGAS: Role.RESPONDER}, {})


class Intake:
    """Stores every report, or refuses with an error."""

    def __init__(self) -> None:
        self.taken: list[Mapping[str, Any]] = []
        self.centres: list[str] = []
        self.refusal: Exception | None = None
        self.filed: list[Mapping[str, Any]] = []
        self.pages: list[Mapping[str, object]] = []

    async def get(self, actor: Any, path: str, **query: object) -> Any:
        assert path == "/centre/reports"
        self.centres.append(actor.agency)
        self.pages.append(query)
        return SimpleNamespace(content={"reports": self.filed, "next": NEXT if self.filed else None})

    async def call(
        self,
        actor: Any,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        if path.endswith("/receipt"):
            if query != {"number": "0"}:
                messages = {"id": "Kata-kata baru sudah dibuat.", "en": "New words were made already."}
                raise ServiceRefused(409, {"code": "receipt_replaced_before", "messages": messages})
            self.centres.append(actor.agency)
            return SimpleNamespace(content={"receipt": "kata baru"})
        assert body is not None
        assert (method, path) == ("POST", "/reports")
        if self.refusal and not body.get("duplicate_search"):
            raise self.refusal
        self.taken.append(body)
        self.centres.append(actor.agency)
        content = {
            "case_id": body["report_id"],
            "case_reference": "K-TEST-0001",
            "receipt": "kata kata",
            "contact_agency": "",
        }
        return SimpleNamespace(content=content)


class Engine:
    """Has a connection for the audit, which is replaced."""

    def connect(self) -> Any:
        return self.begin()

    def begin(self) -> Any:
        class Begun:
            async def __aenter__(self) -> None: ...
            async def __aexit__(self, *_: object) -> None: ...

        return Begun()


@pytest.fixture
def filed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the audit records: action, person, centre, subject."""
    entries: list[Any] = []

    async def record(_: object, user: User, centre: str, action: str, subject: str = "") -> None:
        entries.append((action, user.id, centre, subject))

    async def find_first(_: object, case_id: UUID) -> datetime | None:
        return NOW if any(entry[3] == f"case/{case_id}" for entry in entries) else None

    async def find_own(_: object, user: User, case_ids: Sequence[UUID]) -> frozenset[UUID]:
        own = {entry[3] for entry in entries if entry[:2] == ("report.filed", user.id)}
        return frozenset(case_id for case_id in case_ids if f"case/{case_id}" in own)

    monkeypatch.setattr("simpul_desk.report_pages.routes.record_filing", record)
    monkeypatch.setattr("simpul_desk.report_pages.routes.find_first_filing", find_first)
    monkeypatch.setattr("simpul_desk.report_pages.routes.find_own_filings", find_own)
    return entries


def browser(intake: Intake, user: User = MEMBER) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        return user

    web = FastAPI()
    web.state.find_user = find_user
    add_report_pages(web, ReportPages(Engine(), CITY, intake, KEYS))  # type: ignore[arg-type]  # what they use of these
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def form(**fields: str) -> dict[str, str]:
    return {FORM_FIELD: form_token_of("secret"), "report_id": str(uuid4()), "violence": "physical", **fields}


def multipart(content: str | bytes) -> tuple[bytes, str]:
    body = content.encode() if isinstance(content, str) else content
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="form_token"\r\n\r\n' + form_token_of("secret").encode(),
        b'--x\r\nContent-Disposition: form-data; name="table"; filename="a.csv"\r\n\r\n' + body,
        b"--x--\r\n",
    ]
    return b"\r\n".join(parts), "multipart/form-data; boundary=x"


async def send_table(desk: AsgiBrowser, content: str | bytes) -> Any:
    body, content_type = multipart(content)
    return await desk.send("POST", "/report/table", body, content_type=content_type)


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found
    return found[1].replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&")


async def test_the_form_knows_who_files_and_where(filed: list[Any]) -> None:
    intake = Intake()
    desk = browser(intake)

    page = await desk.get("/report")
    sent = await desk.post(
        "/report",
        form(channel="satgas", chronology="Ia dipukul.", child_name="Wenthilora", age="9", kelurahan=WARD.code),
    )

    assert f'<option value="{WARD.code}" selected>' in page.text
    assert '<option value="satgas" selected>' in page.text
    assert intake.centres == [SATGAS]
    body = intake.taken[0]
    assert (body["age"], body["violence"], body["identity"]) == (9, ["physical"], {"child_name": "Wenthilora"})
    assert ReportIn.model_validate(body).narrative.chronology == "Ia dipukul."
    assert "K-TEST-0001" in sent.shown_text
    assert "kata kata" in sent.shown_text
    assert [entry[:3] for entry in filed] == [("report.filed", MEMBER.id, SATGAS)]


def test_every_field_is_one_that_intake_takes() -> None:
    values = {name: [field.terms[0].value] if field.terms else ["9"] for name, field in FIELDS.items()}
    values |= {"happened_on": ["2026-11-24"], "happened_hour": ["21"], "birth_date": ["2015-03-09"]}

    made = make_report(values, str(uuid4()))

    assert ReportIn.model_validate(made).happened_at == "2026-11-24T21"
    taken = set(ReportIn.model_fields) - {"report_id", "received_at", "complaint_centre", "sexual_under_72h"}
    parts = {"identity", "narrative", "duplicate_search", "duplicate_reason"}
    assert set(made) - {"report_id", *parts} == taken - parts
    assert set(made["identity"]) == set(IdentityIn.model_fields)
    assert set(made["narrative"]) == set(NarrativeIn.model_fields)


def test_an_age_of_thousands_of_digits_is_left_to_intake() -> None:
    made = make_report({"age": ["1" * 5_000]}, str(uuid4()))

    with pytest.raises(ValidationError, match="age"):
        ReportIn.model_validate(made)


async def test_a_child_who_may_be_known_is_stored_only_with_a_reason(filed: list[Any]) -> None:
    intake, search_id = Intake(), str(uuid4())
    intake.refusal = ServiceRefused(
        409, {"messages": {}, "search_id": search_id, "contact_agency": "uptd-ppa", "contact_agency_name": "UPT PPA"}
    )
    desk = browser(intake)
    first = form(chronology="Ia dipukul.")

    held_back = await desk.post("/report", first)
    without_reason = await desk.post("/report", first | {"search_id": search_id, "reason": ""})
    sent = await desk.post("/report", first | {"search_id": search_id, "reason": "other_child"})

    assert (held_back.status, without_reason.status) == (200, 422)
    assert "Choose why" in without_reason.shown_text
    assert "Ask UPT PPA first" in held_back.shown_text
    assert "Ia dipukul." in held_back.text
    assert [body["duplicate_reason"] for body in intake.taken] == ["other_child"]
    # Who searched for a child is known, whether a report is stored or not.
    assert [entry[0] for entry in filed] == ["report.held_back", "report.filed"]
    assert "K-TEST-0001" in sent.shown_text


async def test_each_problem_is_shown_at_its_field_and_nothing_typed_is_lost(filed: list[Any]) -> None:
    intake = Intake()
    desk = browser(intake)
    problems = [
        {"field": "identity.birth_date", "messages": {"en": "no such date of birth", "id": "tidak ada"}},
        {"field": "happened_at", "messages": {"en": "after the report", "id": "sesudah laporan"}},
    ]
    intake.refusal = ServiceRefused(422, {"messages": {"en": "invalid", "id": "salah"}, "problems": problems})

    refused = await desk.post("/report", form(birth_date="31-02-2015", chronology="Ia <dipukul>."))
    intake.refusal = ServiceUnavailable()
    unavailable = await desk.post("/report", form(chronology="Ia <dipukul>."))

    assert (refused.status, unavailable.status) == (422, 503)
    assert 'href="#birth_date"' in refused.text
    assert 'href="#happened_on"' in refused.text
    assert "It is not known whether the report is stored" in unavailable.shown_text
    for page in (refused, unavailable):
        assert "Ia &lt;dipukul&gt;." in page.text
    assert filed == []


async def test_nobody_files_for_an_agency_of_which_they_are_no_member(filed: list[Any]) -> None:
    intake = Intake()
    stranger = User(UUID(int=2), "Sri Rekaan", "en", {}, {Role.COORDINATOR: "uptd-ppa"})

    assert (await browser(intake).get("/report?centre=uptd-ppa")).status == 404
    assert (await browser(intake).post("/report", form(centre="uptd-ppa"))).status == 404
    assert (await browser(intake, stranger).get("/report")).status == 404
    assert intake.taken == []


async def test_a_centre_sees_the_progress_of_its_reports_and_makes_new_receipts(filed: list[Any]) -> None:
    intake, case_id = Intake(), str(uuid4())
    filed.append(("report.filed", MEMBER.id, SATGAS, f"case/{case_id}"))
    desk = browser(intake)
    empty = await desk.get("/report/filed")
    intake.filed = [
        {
            "case_id": case_id,
            "case_reference": "K-TEST-0001",
            "received_at": "2026-11-27T10:00:00+00:00",
            "progress": "being_handled",
        }
    ]

    listed = await desk.get(f"/report/filed?before={BEFORE}")
    replaced = await desk.post(
        f"/report/filed/{case_id}/receipt", {FORM_FIELD: form_token_of("secret"), "before": BEFORE}
    )

    assert "has filed no report yet" in empty.shown_text
    assert "an agency helps the child" in listed.shown_text
    assert f"before={NEXT}" in listed.text
    assert "kata baru" in replaced.shown_text
    again = await desk.post(
        f"/report/filed/{case_id}/receipt", {FORM_FIELD: form_token_of("secret"), "before": BEFORE, "number": "1"}
    )
    assert (again.status, "kata baru" in again.text) == (409, False)
    assert "New words were made already" in again.shown_text
    assert "Make new words" not in replaced.shown_text
    assert [page["before"] for page in intake.pages] == ["", BEFORE, BEFORE, BEFORE]
    assert [entry[0] for entry in filed[1:]] == [
        "reports.listed",
        "reports.listed",
        "receipt.replaced",
        "reports.listed",
        "reports.listed",
    ]
    assert set(intake.centres) == {SATGAS}
    assert (await desk.get("/report/filed?centre=uptd-ppa")).status == 404


async def test_a_table_is_looked_through_first_and_sent_in_parts_that_never_double(filed: list[Any]) -> None:
    intake = Intake()
    desk = browser(intake)
    header, rows = "Jenis kekerasan;Nama anak;Umur (tahun)", [f"Fisik;Anak Rekaan {n};9" for n in range(BATCH + 2)]
    table = "\n".join([header, *rows, "Fisik;Tanpa umur;sembilan", ";Tanpa jenis;8", "Gaib;Lain;7"])

    preview = await send_table(desk, table)
    first = await desk.post(
        "/report/table/send", {FORM_FIELD: form_token_of("secret"), "rows": hidden(preview.text, "rows")}
    )
    second = await desk.post(
        "/report/table/send",
        {FORM_FIELD: form_token_of("secret"), "rows": hidden(first.text, "rows"), "done": hidden(first.text, "done")},
    )
    again = read_table(table.encode(), SATGAS, CITY, "id")

    assert f"{BATCH + 2} of {BATCH + 5} rows can be sent" in preview.shown_text
    assert "sembilan is not a whole number" in preview.shown_text
    assert "Kind of violence: it is empty" in preview.shown_text
    assert preview.shown_text.count("Gaib is not known") == preview.shown_text.count("it is empty") == 1
    assert f"{BATCH} of {BATCH + 2} rows are done" in first.shown_text
    assert f"{BATCH} stored" in first.shown_text
    assert f"{BATCH + 2} of {BATCH + 2} rows are done" in second.shown_text
    assert "Send the next rows" not in second.shown_text
    assert len(filed) == len({body["report_id"] for body in intake.taken}) == BATCH + 2
    assert {body["report_id"] for body in intake.taken} == {
        row.make_id(SATGAS, KEYS, NOW) for row in again if not row.problems
    }
    assert all(ReportIn.model_validate(body).kelurahan == WARD.code for body in intake.taken)


@pytest.mark.parametrize("language", ["id", "en"])
def test_the_example_is_a_table_that_can_be_sent(language: str) -> None:
    [row] = read_table(write_example(language).encode(), "uptd-ppa", CITY, language)

    assert row.problems == ()
    assert ReportIn.model_validate(make_report(row.values, row.make_id("uptd-ppa", KEYS, NOW))).age == 9
    assert len(next(csv.reader(io.StringIO(write_example(language)), delimiter=";"))) == len(FIELDS)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no row"),
        (b"violence\n", "no row"),
        (b"violence,violence\nphysical,physical\n", "Two columns"),
        (b"violence,colour\nphysical,red\n", "No column is named colour"),
        (b"child_name\nWenthilora\n", "Kind of violence is missing"),
        (b'violence\n"physical\n', "cannot be read"),
        (b"violence\0\nphysical\n", "cannot be read"),
        (b"\x00\x01\x02" * 500, "cannot be read"),
        (b"violence\n" + b"physical\n" * (MAX_ROWS + 1), f"more than {MAX_ROWS}"),
    ],
    ids=["empty", "header", "twice", "unknown", "without", "quote", "nul", "binary", "long"],
)
async def test_a_file_that_cannot_be_a_table_is_refused_with_the_reason(content: bytes, text: str) -> None:
    with pytest.raises(TableUnreadable, match=text):
        read_table(content, SATGAS, CITY, "en")

    page = await send_table(browser(Intake()), content)

    assert page.status == 422
    assert text in page.shown_text


def test_a_row_may_name_several_values_wards_and_agencies() -> None:
    table = (
        "violence,kelurahan,excluded_agencies,sex\n"
        'sexual+fisik,bandar lor,"polres-ppa, ylpa",Perempuan\n'
        "physical,outside,,\n"
        "physical,Atlantis,nobody,x,too much\n"
    )

    first, second, third = read_table(table.encode(), "ylpa", CITY, "en")

    assert first.values["violence"] == ["sexual", "physical"]
    assert first.values["kelurahan"] == [WARD.code]
    assert first.values["excluded_agencies"] == ["polres-ppa", "ylpa"]
    assert first.values["sex"] == ["female"]
    assert second.values["kelurahan"] == ["outside"]
    assert len(third.problems) == 4


def test_a_packed_row_survives_and_anything_else_holds_none() -> None:
    [row] = read_table(b"violence;chronology\nphysical;\"a; <b> 'c'\"\n", SATGAS, CITY, "en")

    assert unpack(pack([row])) == [row]
    assert [
        unpack(text) for text in ("", "{}", "[1]", '[["x", 0, {}]]', '[[1, 0, "x"]]', "[[1e999,0,{}]]", "[" * 100_000)
    ] == [[]] * 7


def test_habits_follow_the_kind_of_the_centre() -> None:
    found = {code: usual_values(code, CITY)["channel"] for code in ("polres-ppa", "ylpa", SATGAS)}

    assert found == {"polres-ppa": ["police"], "ylpa": ["walk_in"], SATGAS: ["satgas"]}


def test_equal_rows_are_different_children_and_a_row_without_a_name_is_one_child_for_a_month() -> None:
    unnamed = "physical;9;Bandar Lor;"
    table = "\n".join(("violence;age;kelurahan;child_name", unnamed, unnamed, f"{unnamed}Rekaan"))
    rows = read_table(table.encode(), SATGAS, CITY, "en")
    ids = [row.make_id(SATGAS, KEYS, NOW) for row in rows]

    assert len(set(ids)) == 3
    assert [row.make_id(SATGAS, KEYS, NOW) for row in read_table(table.encode(), SATGAS, CITY, "en")] == ids
    assert [row.make_id("ylpa", KEYS, NOW) for row in rows] != ids
    later = [row.make_id(SATGAS, KEYS, NOW + timedelta(days=40)) for row in rows]
    assert [one == other for one, other in zip(ids, later, strict=True)] == [False, False, True]
    other_ring, _ = generate("desk", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=90))
    stranger: Any = SimpleNamespace(choose_ring=lambda _: other_ring)
    assert rows[2].make_id(SATGAS, stranger, NOW) != ids[2]


async def test_a_report_that_was_sent_before_says_so(filed: list[Any]) -> None:
    desk, first = browser(Intake()), form(chronology="Ia dipukul.")

    new, again = await desk.post("/report", first), await desk.post("/report", first)

    assert "are being alerted now" in new.shown_text
    assert "It was sent before" in again.shown_text


async def test_a_changed_form_that_was_stored_gets_a_new_id(filed: list[Any]) -> None:
    intake, first = Intake(), form(chronology="Ia dipukul.")
    intake.refusal = ServiceRefused(409, {"code": "report_id_reused", "messages": {"en": "reused", "id": "sudah"}})

    page = await browser(intake).post("/report", first)

    assert "was sent before and is stored" in page.shown_text
    assert hidden(page.text, "report_id") != first["report_id"]


async def test_only_who_filed_a_report_or_the_lead_replaces_its_receipt(filed: list[Any]) -> None:
    intake, case_id = Intake(), str(uuid4())
    intake.filed = [
        {
            "case_id": case_id,
            "case_reference": "K-TEST-0001",
            "received_at": "2026-11-27T10:00:00+00:00",
            "progress": "received",
        }
    ]
    filed.append(("report.filed", UUID(int=5), SATGAS, f"case/{case_id}"))
    lead = replace(MEMBER, id=UUID(int=6), memberships={SATGAS: Role.AGENCY_LEAD})
    close = replace(lead, excluded_cases=frozenset({UUID(case_id)}))
    token = {FORM_FIELD: form_token_of("secret")}

    answers = [
        (await browser(intake, user).post(f"/report/filed/{case_id}/receipt", token)).status
        for user in (MEMBER, replace(MEMBER, id=UUID(int=5)), lead, close)
    ]

    assert answers == [404, 200, 200, 404]
    assert "Make new words" not in (await browser(intake).get("/report/filed")).text
    assert "K-TEST-0001" not in (await browser(intake, close).get("/report/filed")).text


async def test_rows_for_which_there_is_no_time_wait_for_the_next_request(
    filed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_desk.report_pages.routes.TIME_FOR_ROWS", -1.0)
    rows = read_table(b"violence;child_name\nphysical;A\nphysical;B\n", SATGAS, CITY, "en")

    page = await browser(Intake()).post("/report/table/send", {FORM_FIELD: form_token_of("secret"), "rows": pack(rows)})

    assert "0 of 2 rows are done" in page.shown_text
    assert unpack(hidden(page.text, "rows")) == rows


@pytest.mark.parametrize(
    ("column", "cell", "is_right"),
    [
        ("happened_on", "2026-11-24", True),
        ("happened_on", "24/11/2026", True),
        ("happened_on", "24.11.2026", True),
        ("happened_on", "30-13-2026", False),
        ("happened_on", "kemarin", False),
        ("happened_on", "2999-01-01", False),
        ("happened_hour", "7", True),
        ("happened_hour", "21", True),
        ("happened_hour", "24", False),
        ("happened_hour", "malam", False),
    ],
)
def test_a_day_or_hour_that_cannot_be_is_found_before_anything_is_sent(column: str, cell: str, is_right: bool) -> None:
    [row] = read_table(f"violence;{column}\nphysical;{cell}\n".encode(), "ylpa", CITY, "en")

    assert (row.problems == ()) is is_right
    if is_right and column == "happened_on":
        assert ReportIn.model_validate(make_report(row.values, str(uuid4()))).happened_at == "2026-11-24"

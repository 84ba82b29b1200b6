"""The form of one report, the table of many, and what intake answered."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import FastAPI, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import CurrentUser, Role, User
from simpul_desk.rendering import page_language, render
from simpul_desk.report_pages.fields import FIELDS, SECTIONS, Kind, Values, field_of, make_report, usual_values
from simpul_desk.report_pages.filings import FILED, find_first_filing, find_own_filings, record_filing
from simpul_desk.report_pages.table_reader import MAX_ROWS, Row, TableUnreadable, read_table, write_example
from simpul_desk.service_api import IntakeApi, ServiceRefused, ServiceUnavailable
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_runtime.shell import Limits
from simpul_runtime.signing import Keys
from simpul_schema.names import subject_of_case
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import OUTSIDE_CITY

REPORT: Final = "/report"
TABLE: Final = "/report/table"
SEND_TABLE: Final = "/report/table/send"
FILED_PAGE: Final = "/report/filed"
_LARGE: Final = Limits(body_bytes=4 * 1024 * 1024)
REPORT_LIMITS: Final[Mapping[str, Limits]] = {REPORT: _LARGE, TABLE: _LARGE, SEND_TABLE: _LARGE}
"""A form writes up to nine bytes for each letter, and a table holds many reports."""
BATCH: Final = 40
"""Reports of a table that one request sends; intake takes a quarter of a second for each search."""
AT_ONCE: Final = 8
REASONS: Final[Mapping[str, str]] = {
    "other_child": gettext_noop("The agency does not know this child"),
    "new_facts": gettext_noop("It is the same child, and something new has happened"),
    "no_answer": gettext_noop("The agency cannot be reached"),
}
"""Why a report is sent although the child may have been reported before."""
PROGRESS: Final[Mapping[str, str]] = {
    "received": gettext_noop("received, people are alerted"),
    "being_handled": gettext_noop("an agency helps the child"),
    "closed": gettext_noop("closed"),
}
"""What a centre may know of its reports."""
TIME_FOR_ROWS: Final = 5.0
"""Seconds after which no further row of a table is begun; a page of the desk has nine."""
_FAILED: Final = gettext_noop(
    "It is not known whether the report is stored. Press Send again; it is never counted twice."
)
_NO_REASON: Final = gettext_noop("Choose why you send it all the same.")
_SENT_BEFORE: Final = gettext_noop(
    "This form was sent before and is stored. What you changed since is not. Send it again only as a new report."
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a report."""

    reference: str = ""
    """Of its case; empty when it is not stored."""
    receipt: str = field(default="", repr=False)
    """The words for the reporting person."""
    contact_agency: str = ""
    """Name of the agency to ask, because the child may have been reported before."""
    search_id: str = ""
    """Of the search that held the report back."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Field -> what is wrong with it."""
    failure: str = ""
    """Why it is not stored, if no field is wrong."""
    needs_new_id: bool = False
    """Whether its id belongs to another report."""
    filed_at: datetime | None = None
    """When it was filed first, if it was filed before."""

    @property
    def is_held_back(self) -> bool:
        """Whether the report waits until the agency was asked."""
        return bool(self.search_id)


@dataclass(frozen=True)
class ReportPages:
    """Files reports at intake as a member of a complaint centre."""

    engine: AsyncEngine
    city: City
    intake: IntakeApi
    keys: Keys

    def find_centre(self, user: User, given: str) -> str:
        """Returns the agency for which a person files; another's, and that of nobody, do not exist."""
        centres = sorted(user.memberships)
        if not centres or given not in ("", *centres):
            raise HTTPException(404)
        return given or centres[0]

    @property
    def agency_names(self) -> Mapping[str, str]:
        """Code -> name."""
        return {agency.code: agency.name for agency in self.city.agencies}

    def wording(self, request: Request) -> Wording:
        """Returns how times are written on the page that answers a request."""
        return Wording(page_language(request), self.city.zone, utc_now())

    async def send(self, user: User, centre: str, report: Mapping[str, Any], language: str) -> Sent:
        """Sends a report to intake, and records who filed it."""
        try:
            answer = (await self.intake.call(user.act_in(centre), "POST", "/reports", report)).content
        except ServiceUnavailable:
            return Sent(failure=load_translations("simpul_desk")[language].gettext(_FAILED))
        except ServiceRefused as refusal:
            sent = self._explain(refusal, language)
            if sent.is_held_back:
                await self._record(user, centre, "report.held_back")
            return sent
        case_id = UUID(answer["case_id"])
        async with self.engine.begin() as connection:
            filed_at = await find_first_filing(connection, case_id)
            await record_filing(connection, user, centre, FILED, subject_of_case(case_id))
        contact = self.agency_names.get(answer["contact_agency"], "")
        return Sent(answer["case_reference"], answer["receipt"], contact_agency=contact, filed_at=filed_at)

    async def _record(self, user: User, centre: str, action: str, subject: str = "") -> None:
        async with self.engine.begin() as connection:
            await record_filing(connection, user, centre, action, subject)

    @staticmethod
    def _explain(refusal: ServiceRefused, language: str) -> Sent:
        content = refusal.content
        if "search_id" in content:
            return Sent(contact_agency=content["contact_agency_name"], search_id=content["search_id"])
        if refusal.code == "report_id_reused":
            return Sent(failure=load_translations("simpul_desk")[language].gettext(_SENT_BEFORE), needs_new_id=True)
        problems = {field_of(one["field"]): one["messages"][language] for one in content.get("problems", ())}
        return Sent(problems=problems, failure="" if problems else refusal.messages[language])

    def render_form(
        self, request: Request, user: User, centre: str, values: Values, report_id: str, sent: Sent | None = None
    ) -> Response:
        """Renders the form with what was typed, and with what intake answered."""
        status = 200 if sent is None else 422 if sent.problems else 200 if sent.is_held_back else 503
        return render(
            request,
            "report/form.html",
            status=status,
            values=values,
            report_id=report_id,
            sent=sent or Sent(),
            **self._terms(request, user, centre),
        )

    def render_table(self, request: Request, user: User, centre: str, status: int = 200, **values: Any) -> Response:
        """Renders the page on which a table is chosen, looked through and sent."""
        shown: dict[str, Any] = {"rows": (), "problem": "", "max_rows": MAX_ROWS, "pack": pack, **values}
        return render(request, "report/table.html", status=status, **shown, **self._terms(request, user, centre))

    async def send_rows(
        self, user: User, centre: str, rows: Sequence[Row], language: str
    ) -> tuple[list[tuple[Row, Sent]], list[Row]]:
        """Sends rows of a table, a few at once, while there is time; returns what became of them, and the others."""
        slots, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()
        until = loop.time() + TIME_FOR_ROWS

        async def send(row: Row) -> Sent | None:
            async with slots:
                if loop.time() >= until:
                    return None
                return await self.send(user, centre, make_report(row.values, self.make_id(row, centre)), language)

        outcomes = await asyncio.gather(*map(send, rows[:BATCH]))
        sent = [(row, one) for row, one in zip(rows, outcomes, strict=False) if one]
        return sent, [row for row, one in zip(rows, outcomes, strict=False) if not one] + list(rows[BATCH:])

    def make_id(self, row: Row, centre: str) -> str:
        """Returns the id of the report of a row."""
        return row.make_id(centre, self.keys, utc_now())

    async def render_filed(
        self,
        request: Request,
        user: User,
        centre: str,
        before: str,
        *,
        replaced: Mapping[str, str] | None = None,
        problem: str = "",
    ) -> Response:
        """Renders what became of the reports of a centre; `replaced` has new words of a receipt by its case."""
        page = (await self.intake.get(user.act_in(centre), "/centre/reports", before=before)).content
        await self._record(user, centre, "reports.listed")
        shown = [one for one in page["reports"] if not user.is_excluded(UUID(one["case_id"]))]
        return render(
            request,
            "report/filed.html",
            page=page | {"reports": shown},
            replaced=replaced or {},
            progress=PROGRESS,
            problem=problem,
            status=409 if problem else 200,
            own=await self._find_replaceable(user, centre, [one["case_id"] for one in shown]),
            before=before,
            wording=self.wording(request),
            parse=datetime.fromisoformat,
            **self._terms(request, user, centre),
        )

    async def replace_receipt(self, user: User, centre: str, case_id: UUID, number: str) -> str:
        """Returns new words of a receipt, for the person who filed the report or the lead; else there is no report.

        `number` is how often they were replaced when the person read the list. Raises ServiceRefused for a form that is
        sent again, which must not make the words invalid that somebody has just written down.
        """
        if user.is_excluded(case_id) or not await self._find_replaceable(user, centre, [str(case_id)]):
            raise HTTPException(404)
        answer = await self.intake.call(
            user.act_in(centre), "POST", f"/cases/{case_id}/receipt", query={"number": number}
        )
        await self._record(user, centre, "receipt.replaced", subject_of_case(case_id))
        return str(answer.content["receipt"])

    async def _find_replaceable(self, user: User, centre: str, case_ids: Sequence[str]) -> frozenset[str]:
        """Finds the reports of which a person may replace the receipt."""
        if user.memberships[centre] is Role.AGENCY_LEAD:
            return frozenset(case_ids)
        async with self.engine.connect() as connection:
            found = await find_own_filings(connection, user, [UUID(case_id) for case_id in case_ids])
        return frozenset(map(str, found))

    def _terms(self, request: Request, user: User, centre: str) -> dict[str, Any]:
        return {
            "centre": centre,
            "centres": sorted(user.memberships),
            "agencies": self.city.agencies,
            "agency_names": self.agency_names,
            "wards": self.city.kelurahan,
            "sections": SECTIONS,
            "fields": FIELDS,
            "Kind": Kind,
            "OUTSIDE_CITY": OUTSIDE_CITY,
            "reasons": REASONS,
            "today": utc_now().astimezone(self.city.zone).date(),
            "language": page_language(request),
        }


def add_report_pages(web: FastAPI, pages: ReportPages) -> None:
    """Adds the routes."""
    _add_form(web, pages)
    _add_table(web, pages)
    _add_filed(web, pages)


def _add_filed(web: FastAPI, pages: ReportPages) -> None:
    @web.get(FILED_PAGE, include_in_schema=False)
    async def filed(request: Request, user: CurrentUser, centre: str = "", before: UUID | None = None) -> Response:
        return await pages.render_filed(request, user, pages.find_centre(user, centre), str(before or ""))

    @web.post(f"{FILED_PAGE}/{{case_id}}/receipt", include_in_schema=False)
    async def replace_receipt(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        centre = pages.find_centre(user, str(given.get("centre", "")))
        before, number = str(given.get("before", "")), str(given.get("number") or 0)
        try:
            receipt = await pages.replace_receipt(user, centre, case_id, number)
        except ServiceRefused as error:
            if error.code != "receipt_replaced_before":
                raise
            problem = error.messages[page_language(request)]
            return await pages.render_filed(request, user, centre, before, problem=problem)
        return await pages.render_filed(request, user, centre, before, replaced={str(case_id): receipt})


def _add_form(web: FastAPI, pages: ReportPages) -> None:
    @web.get(REPORT, include_in_schema=False)
    async def form(request: Request, user: CurrentUser, centre: str = "") -> Response:
        found = pages.find_centre(user, centre)
        return pages.render_form(request, user, found, usual_values(found, pages.city), str(uuid4()))

    @web.post(REPORT, include_in_schema=False)
    async def send(request: Request, user: CurrentUser) -> Response:
        given = await request.form()
        centre = pages.find_centre(user, str(given.get("centre", "")))
        values, report_id = read_values(given), _read_id(given.get("report_id"))
        report = make_report(values, report_id)
        if given.get("search_id"):
            search = Sent(contact_agency=str(given.get("contact_agency", "")), search_id=str(given["search_id"]))
            if given.get("reason") not in REASONS:
                text = load_translations("simpul_desk")[page_language(request)].gettext(_NO_REASON)
                search = replace(search, problems={"reason": text})
                return pages.render_form(request, user, centre, values, report_id, search)
            report |= {"duplicate_search": search.search_id, "duplicate_reason": str(given["reason"])}
        sent = await pages.send(user, centre, report, page_language(request))
        if not sent.reference:
            shown_id = str(uuid4()) if sent.needs_new_id else report_id
            return pages.render_form(request, user, centre, values, shown_id, sent)
        return render(
            request, "report/sent.html", sent=sent, language=page_language(request), wording=pages.wording(request)
        )


def _add_table(web: FastAPI, pages: ReportPages) -> None:
    @web.get(TABLE, include_in_schema=False)
    async def choose(request: Request, user: CurrentUser, centre: str = "") -> Response:
        return pages.render_table(request, user, pages.find_centre(user, centre))

    @web.get(f"{TABLE}/example.csv", include_in_schema=False)
    async def example(request: Request, user: CurrentUser) -> Response:
        pages.find_centre(user, "")
        headers = {"content-disposition": 'attachment; filename="simpul-laporan.csv"'}
        return Response(write_example(page_language(request)), media_type="text/csv; charset=utf-8", headers=headers)

    @web.post(TABLE, include_in_schema=False)
    async def preview(request: Request, user: CurrentUser) -> Response:
        given = await request.form()
        centre = pages.find_centre(user, str(given.get("centre", "")))
        uploaded = given.get("table")
        try:
            content = await uploaded.read() if isinstance(uploaded, UploadFile) else b""
            rows = read_table(content, centre, pages.city, page_language(request))
        except TableUnreadable as problem:
            return pages.render_table(request, user, centre, 422, problem=str(problem))
        finally:
            await given.close()
        return pages.render_table(request, user, centre, rows=rows)

    @web.post(SEND_TABLE, include_in_schema=False)
    async def send(request: Request, user: CurrentUser) -> Response:
        given = await request.form()
        centre = pages.find_centre(user, str(given.get("centre", "")))
        rows = unpack(str(given.get("rows", "")))
        sent, rest = await pages.send_rows(user, centre, rows, page_language(request))
        return render(
            request,
            "report/table_sent.html",
            sent=sent,
            rest=rest,
            pack=pack,
            make_id=pages.make_id,
            wording=pages.wording(request),
            done=_count(given) + len(sent),
            total=_count(given) + len(rows),
            centre=centre,
            reasons=REASONS,
            fields=FIELDS,
            language=page_language(request),
        )


def read_values(given: FormData) -> dict[str, Sequence[str]]:
    """Reads the fields of the form; anything else is ignored."""
    return {
        name: [value.replace("\r\n", "\n") for value in given.getlist(name) if isinstance(value, str)]
        for name in FIELDS
    }


def pack(rows: Sequence[Row]) -> str:
    """Writes the rows that can be sent into a hidden field of the next form."""
    return json.dumps(
        [[row.number, row.occurrence, {name: list(row.values[name]) for name in row.values}] for row in rows]
    )


def unpack(text: str) -> list[Row]:
    """Reads rows from a hidden field; a field that is not ours holds none."""
    try:
        return [
            Row(
                int(number),
                {name: [str(one) for one in given] for name, given in values.items() if name in FIELDS},
                occurrence=int(occurrence),
            )
            for number, occurrence, values in json.loads(text)[:MAX_ROWS]
        ]
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return []


def _count(given: FormData) -> int:
    text = str(given.get("done", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0


def _read_id(text: object) -> str:
    try:
        return str(UUID(str(text)))
    except ValueError:
        return str(uuid4())

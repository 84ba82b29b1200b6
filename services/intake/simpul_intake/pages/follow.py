"""The page on which a reporting person asks what became of the report, and adds to it.

Number and receipt are sent with each request and kept nowhere: a shared phone shows nothing to whoever uses it next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_intake.api import TEXT_PACKAGES
from simpul_intake.api.error_handlers import TOO_MANY_AMENDMENTS
from simpul_intake.api.models import MAX_ADDITION
from simpul_intake.domain import Amendment, Followed, Progress
from simpul_intake.errors import (
    AmendmentIdReused,
    QuestionUnknown,
    ReceiptLocked,
    ReceiptUnknown,
    ReportClosed,
    TooManyAmendments,
)
from simpul_intake.pages.files import FILE_LIMITS, FILES_PATH, UploadReader, explain_refusal
from simpul_intake.pages.form import PAGE_HEADERS, find_switch, read_form
from simpul_intake.receipt_lock import ReceiptLock
from simpul_intake.received_files import FileRefused, UploadedFile
from simpul_intake.use_cases import AmendReports, FollowReports, KeepFiles
from simpul_runtime.database import utc_now
from simpul_runtime.failures import Failure, record_failure, request_failure
from simpul_runtime.languages import known_language, language_of
from simpul_runtime.translations import page_templates
from simpul_schema.translations import gettext_noop, load_translations

FOLLOW_PATH: Final = "/laporan"
ANSWER: Final = "answer-"
"""Start of the name of a field with an answer; the id of its question follows."""
PROGRESS_TEXTS: Final = {
    Progress.RECEIVED: gettext_noop("The report has been received. The people on duty have been alerted."),
    Progress.BEING_HANDLED: gettext_noop("The report is being handled."),
    Progress.CLOSED: gettext_noop("The report has been handled and is closed."),
}
_UNKNOWN: Final = gettext_noop("No case has this number and receipt; check both.")
_LOCKED: Final = gettext_noop("The receipt was wrong too often. Check its words, and try again later.")
_NO_FILE: Final = gettext_noop("Choose a photo or a PDF first.")
_CLOSED: Final = gettext_noop("The report is closed and takes no more files. Report what is new again.")
_TOO_LONG: Final = gettext_noop("The text is too long. Send it in several parts.")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a person typed into the page."""

    number: str = ""
    receipt: str = ""
    addition: str = ""
    amendment_id: str = ""
    involved: tuple[str, ...] = ()
    """Agencies of which somebody who works there is too close to what happened."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """The id of a question of the case manager -> the answer."""

    @classmethod
    def of(cls, fields: FormData) -> "Sent":
        """Reads submitted fields."""
        number, receipt, addition, amendment_id = (
            str(fields.get(name, "")).strip() for name in ("number", "receipt", "addition", "amendment_id")
        )
        involved = tuple(str(code) for code in fields.getlist("involved"))
        typed = {name: str(text).strip() for name, text in fields.items() if name.startswith(ANSWER)}
        answers = {name.removeprefix(ANSWER): text for name, text in typed.items() if text}
        return cls(number, receipt, addition, amendment_id, involved, answers)

    @property
    def has_addition(self) -> bool:
        """Whether the person adds something to the report."""
        return bool(self.addition or self.involved or self.answers)

    @property
    def is_too_long(self) -> bool:
        """Whether one of the texts is."""
        return any(len(text) > MAX_ADDITION for text in (self.addition, *self.answers.values()))

    def to_amendment(self, case_id: UUID) -> Amendment:
        """Converts to the domain's amendment; a text that is sent twice is added once. Raises ValueError."""
        facts = {"excluded_agencies": self.involved} if self.involved else {}
        answers = {UUID(question_id): text for question_id, text in self.answers.items()}
        return Amendment(UUID(self.amendment_id), case_id, self.receipt, facts, {}, {}, self.addition, answers)


EMPTY: Final = Sent()


class FollowPage:
    """Answers the page."""

    def __init__(
        self,
        follow_reports: FollowReports,
        amend_reports: AmendReports,
        files: KeepFiles,
        receipt_lock: ReceiptLock,
        city: City,
    ) -> None:
        self._follow_reports = follow_reports
        self._amend_reports = amend_reports
        self._files = files
        self._receipt_lock = receipt_lock
        self._city = city
        self._templates = page_templates(*TEXT_PACKAGES)

    def render(
        self,
        language: str,
        sent: Sent = EMPTY,
        *,
        status: int = 200,
        problem: str = "",
        followed: Followed | None = None,
        was_added: bool = False,
        were_files_stored: bool = False,
        failure: Failure | None = None,
        retry_after: int = 0,
    ) -> HTMLResponse:
        """Renders the page with what was typed; the receipt is shown again only if it was right."""
        page = (
            self._templates[language]
            .get_template("follow.html")
            .render(
                sent=sent,
                problem=problem,
                progress=PROGRESS_TEXTS[followed.progress] if followed else "",
                is_open=bool(followed and followed.progress is not Progress.CLOSED),
                questions=followed.questions if followed else (),
                was_added=was_added,
                were_files_stored=were_files_stored,
                file_limits=FILE_LIMITS,
                agencies=self._city.agencies,
                failure=failure,
                amendment_id=str(uuid4()),
                max_addition=MAX_ADDITION,
                emergency_numbers=self._city.emergency_numbers,
            )
        )
        wait = retry_after or (failure.retry_after if failure else 0)
        headers = {"retry-after": str(wait)} if wait else {}
        return HTMLResponse(page, failure.status if failure else status, PAGE_HEADERS | headers)

    async def answer(self, language: str, sent: Sent, address: str, *, shows_only: bool = False) -> HTMLResponse:
        """Says what became of the report, and stores what the person adds or answers unless it only shows the page."""
        translate = load_translations(*TEXT_PACKAGES)[language].gettext
        try:
            case_id, followed = await self.follow(sent, address)
        except (ReceiptLocked, ReceiptUnknown) as error:
            return self.refuse(language, sent, error)
        if shows_only or not sent.has_addition:
            return self.render(language, sent, followed=followed)
        if sent.is_too_long:
            return self.render(language, sent, status=422, problem=translate(_TOO_LONG), followed=followed)
        try:
            sent = replace(sent, involved=tuple(c for c in sent.involved if c in self._city.agency_codes))
            await self._amend_reports.amend_report(sent.to_amendment(case_id))
        except (AmendmentIdReused, QuestionUnknown, ValueError):
            # The text was edited after it had been sent: it is shown again, under a new id.
            return self.render(language, sent, status=409, followed=followed)
        except TooManyAmendments as error:
            wait, problem = ceil(error.wait.total_seconds()), translate(TOO_MANY_AMENDMENTS)
            return self.render(language, sent, status=429, problem=problem, followed=followed, retry_after=wait)
        left = tuple(one for one in followed.questions if str(one.question_id) not in sent.answers)
        return self.render(language, sent, followed=replace(followed, questions=left), was_added=True)

    async def take_files(self, language: str, sent: Sent, files: list[UploadedFile], address: str) -> HTMLResponse:
        """Stores files for the holder of the receipt, and shows the page without them."""
        translate = load_translations(*TEXT_PACKAGES)[language].gettext
        try:
            case_id, followed = await self.follow(sent, address)
            if not files:
                return self.render(language, sent, status=422, problem=translate(_NO_FILE), followed=followed)
            await self._files.add_files(case_id, sent.receipt, files)
        except (ReceiptLocked, ReceiptUnknown) as error:
            return self.refuse(language, sent, error)
        except ReportClosed:
            return self.render(language, sent, status=409, problem=translate(_CLOSED), followed=followed)
        except FileRefused as error:
            problem = explain_refusal(error, translate)
            return self.render(language, sent, status=422, problem=problem, followed=followed)
        return self.render(language, sent, followed=followed, were_files_stored=True)

    async def follow(self, sent: Sent, address: str) -> tuple[UUID, Followed]:
        """Finds the case and how far it has come; raises ReceiptLocked and ReceiptUnknown."""
        case_id = await self._follow_reports.find_case(sent.number)
        self._receipt_lock.check(case_id, address, utc_now())
        try:
            followed = await self._follow_reports.follow(case_id, sent.receipt)
        except ReceiptUnknown:
            self._receipt_lock.record_failure(case_id, address, utc_now())
            raise
        self._receipt_lock.record_success(case_id, address)
        return case_id, followed

    def refuse(self, language: str, sent: Sent, error: ReceiptLocked | ReceiptUnknown) -> HTMLResponse:
        """Renders the page for somebody who has not the receipt."""
        translate = load_translations(*TEXT_PACKAGES)[language].gettext
        if isinstance(error, ReceiptUnknown):
            return self.render(language, sent, status=404, problem=translate(_UNKNOWN))
        wait = ceil(error.wait.total_seconds())
        return self.render(language, sent, status=429, problem=translate(_LOCKED), retry_after=wait)


def add_follow_pages(
    web: FastAPI,
    follow_reports: FollowReports,
    amend_reports: AmendReports,
    files: KeepFiles,
    receipt_lock: ReceiptLock,
    city: City,
) -> None:
    """Registers the page's routes."""
    page = FollowPage(follow_reports, amend_reports, files, receipt_lock, city)
    _add_files_route(web, page)

    @web.get(FOLLOW_PATH, response_class=HTMLResponse, tags=["public form"], summary="Ask what became of a report")
    async def show_form(lang: str = "id") -> HTMLResponse:
        return page.render(known_language(lang))

    @web.post(FOLLOW_PATH, response_class=HTMLResponse, tags=["public form"], summary="The answer, and an addition")
    async def follow(request: Request) -> HTMLResponse:
        try:
            fields = await read_form(request)
        except HTTPException as error:
            return page.render(language_of(request), failure=request_failure(error))
        sent, wanted = Sent.of(fields), find_switch(fields)
        language = wanted or language_of(request, str(fields.get("lang", "")))
        if wanted and not (sent.number and sent.receipt):
            return page.render(language, sent)
        try:
            address = request.client.host if request.client else ""
            return await page.answer(language, sent, address, shows_only=bool(wanted))
        except Exception as error:
            return page.render(language, sent, failure=record_failure(request, error))


def _add_files_route(web: FastAPI, page: FollowPage) -> None:
    uploads = UploadReader()

    @web.get(FILES_PATH, include_in_schema=False)
    async def show_page() -> RedirectResponse:
        # Where somebody loads the address of an answer again.
        return RedirectResponse(FOLLOW_PATH)

    @web.post(FILES_PATH, response_class=HTMLResponse, tags=["public form"], summary="Add photos and documents")
    async def take_files(request: Request) -> HTMLResponse:
        language, sent = language_of(request), EMPTY
        address = request.client.host if request.client else ""

        def understand(fields: FormData) -> None:
            nonlocal language, sent
            language, sent = language_of(request, str(fields.get("lang", ""))), Sent.of(fields)

        async def admit(fields: FormData) -> UUID:
            understand(fields)
            return (await page.follow(sent, address))[0]

        try:
            async with uploads.read(request, admit) as (fields, files):
                understand(fields)
                return await page.take_files(language, sent, files, address)
        except HTTPException as error:
            return page.render(language, failure=request_failure(error))
        except (ReceiptLocked, ReceiptUnknown) as error:
            return page.refuse(language, sent, error)
        except Exception as error:
            return page.render(language, sent, failure=record_failure(request, error))

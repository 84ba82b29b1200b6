"""The public form: two languages, no JavaScript, small enough for a cheap phone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final, Self
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_intake.api import IdentityIn, NarrativeIn, ReportIn
from simpul_intake.errors import ReportIdReused
from simpul_intake.texts import TEXTS
from simpul_intake.use_cases import TakeReports
from simpul_runtime.database import utc_now
from simpul_runtime.failures import Failure, record_failure, request_failure
from simpul_runtime.languages import known_language, language_of
from simpul_runtime.shell import Limits
from simpul_runtime.texts import TEXTS as FAILURE_TEXTS
from simpul_runtime.web import in_plain_words
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex, Violence

FORM_PATH: Final = "/lapor"
FORM_LIMITS: Final = Limits(body_bytes=1024 * 1024)
"""Two long texts in an alphabet that takes nine bytes a letter in a form's encoding still fit."""
_IDENTITY = tuple(IdentityIn.model_fields)
_NARRATIVE = tuple(NarrativeIn.model_fields)
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class Filled:
    """The form as somebody filled it in; shown again whenever it cannot be taken as it is."""

    given: Mapping[str, str]
    violence: tuple[str, ...] = ()
    is_new: bool = True
    """Whether the form came without an id of its own and got one now."""

    @classmethod
    def from_fields(cls, fields: FormData) -> Self:
        """A field that is there twice counts with its last value."""
        given = {name: _with_plain_breaks(value) for name, value in fields.items() if isinstance(value, str)}
        violence = tuple(value for value in fields.getlist("violence") if isinstance(value, str))
        return cls(given, violence, is_new=False).with_report_id()

    def with_report_id(self) -> Self:
        """The same with an id, a new one where it has none that can be used."""
        try:
            UUID(self.given.get("report_id", ""))
        except ValueError:
            return self.with_new_report_id()
        return self

    def with_new_report_id(self) -> Self:
        """The same as a report of its own."""
        return replace(self, given={**self.given, "report_id": str(uuid4())}, is_new=True)

    def as_report(self) -> ReportIn:
        """The fields as the API wants them, an empty one left out; ValidationError says what does not fit."""
        left_out = {"identity", "narrative", "violence", "received_at", "excluded_agencies"}
        names = set(ReportIn.model_fields) - left_out
        report: dict[str, Any] = {name: self.given[name] for name in names if self.given.get(name)}
        report["violence"] = list(self.violence)
        report["identity"] = {name: self.given.get(name, "") for name in _IDENTITY}
        report["narrative"] = {name: self.given.get(name, "") for name in _NARRATIVE}
        return ReportIn.model_validate({"channel": Channel.WEB_FORM.value, **report})


class FormPages:
    """Renders the form and the receipt."""

    def __init__(self, city: City) -> None:
        loader = ChoiceLoader([PackageLoader("simpul_intake"), PackageLoader("simpul_runtime")])
        self._templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        self._city = city

    def form(
        self, language: str, filled: Filled, problems: Mapping[str, str] | None = None, *,
        status: int = 200, failure: Failure | None = None,
    ) -> HTMLResponse:  # fmt: skip
        """The form with what is filled in, and what is wrong with it or with the service."""
        headers = {"retry-after": str(failure.retry_after)} if failure and failure.retry_after else {}
        return self._page(
            "form.html", language, failure.status if failure else status, headers, given=filled.given,
            violence=filled.violence, problems=problems or {}, failure=failure,
        )  # fmt: skip

    def receipt(self, language: str, **values: Any) -> HTMLResponse:
        """What the reporting person keeps."""
        return self._page("receipt.html", language, 200, {}, **values)

    def _page(self, name: str, language: str, status: int, headers: dict[str, str], **values: Any) -> HTMLResponse:
        shown = self._templates.get_template(name).render(
            language=language, t=TEXTS[language], failure_texts=FAILURE_TEXTS[language], city=self._city,
            emergency_numbers=self._city.emergency_numbers, Violence=Violence, Place=Place, Relation=Relation,
            Reporter=Reporter, Sex=Sex, Answer=Answer, **values,
        )  # fmt: skip
        return HTMLResponse(shown, status, headers)


def add_pages(web: FastAPI, take_reports: TakeReports, city: City) -> None:
    """The routes of the form."""
    pages = FormPages(city)

    @web.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse(FORM_PATH)

    @web.get(FORM_PATH, response_class=HTMLResponse, tags=["public form"], summary="The public form")
    async def form(lang: str = "id") -> HTMLResponse:
        return pages.form(known_language(lang), Filled({}).with_report_id())

    @web.post(FORM_PATH, response_class=HTMLResponse, tags=["public form"], summary="Send the public form")
    async def send(request: Request) -> HTMLResponse:
        try:
            fields = await _read_form(request)
        except HTTPException as error:
            return pages.form(language_of(request), Filled({}).with_report_id(), failure=request_failure(error))
        filled = Filled.from_fields(fields)
        return await _take(request, pages, take_reports, filled)

    @web.get("/style.css", include_in_schema=False)
    async def style() -> HTMLResponse:
        css = (files("simpul_intake") / "templates" / "style.css").read_text()
        return HTMLResponse(css, media_type="text/css")


async def _read_form(request: Request) -> FormData:
    """The fields; HTTPException when the body is none of a form, is damaged or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORM_TYPES:
        raise HTTPException(415)
    try:
        return await request.form(max_fields=60, max_files=0, max_part_size=FORM_LIMITS.body_bytes)
    # A damaged body, and one in a character set that Python knows but cannot read.
    except (UnicodeError, ValueError) as error:
        raise HTTPException(400) from error


async def _take(request: Request, pages: FormPages, take_reports: TakeReports, filled: Filled) -> HTMLResponse:
    language = language_of(request, filled.given.get("lang", ""))
    texts = TEXTS[language]
    try:
        report = filled.as_report().to_report(utc_now())
        if filled.is_new:
            # Its sender could not repeat it without making a second case; with the id that it has now, they can.
            return pages.form(language, filled, {"report_id": texts["without_id"]}, status=422)
        receipt = await take_reports.take(report)
    except ValidationError as error:
        return pages.form(language, filled, _problems(error, language), status=422)
    except ReportIdReused:
        # The form was changed after it had been sent: what is on the screen now is a report of its own.
        problems = {"report_id": texts["already_sent"]}
        return pages.form(language, filled.with_new_report_id(), problems, status=409)
    except Exception as error:
        return pages.form(language, filled, failure=record_failure(request, error))
    return pages.receipt(language, receipt=receipt)


def _with_plain_breaks(words: str) -> str:
    """Browsers send a line break as two characters, but count it as one against maxlength."""
    return words.replace("\r\n", "\n").replace("\r", "\n")


def _problems(error: ValidationError, language: str) -> dict[str, str]:
    found = error.errors(include_input=False)
    problems = {str(problem["loc"][-1]): in_plain_words(problem, language) for problem in found}
    if any(problem["loc"][0] == "violence" for problem in found):
        problems["violence"] = TEXTS[language]["choose_one"]
    return problems

"""The public form: two languages, no JavaScript, small enough for a cheap phone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final, Self
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_intake.api import TEXT_PACKAGES, IdentityIn, NarrativeIn, ReportIn
from simpul_intake.errors import ReportIdReused
from simpul_intake.use_cases import TakeReports
from simpul_runtime.database import utc_now
from simpul_runtime.failures import Failure, record_failure, request_failure
from simpul_runtime.languages import known_language, language_of
from simpul_runtime.shell import Limits
from simpul_runtime.translations import gettext_noop, load_translations, page_templates
from simpul_runtime.validation import explain_error
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex, Violence

FORM_PATH: Final = "/lapor"
FORM_LIMITS: Final = Limits(body_bytes=1024 * 1024)
"""Large enough for both narratives in a script that takes nine bytes per letter when form-encoded."""
_IDENTITY = tuple(IdentityIn.model_fields)
_NARRATIVE = tuple(NarrativeIn.model_fields)
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

_WITHOUT_ID: Final = gettext_noop(
    "The form came without its number, so this report is NOT stored. Check it, then press Send."
)
_ALREADY_SENT: Final = gettext_noop(
    "This form was sent before. Check it, and send it again only if it is a new report."
)
_NO_VIOLENCE: Final = gettext_noop("Choose at least one; if you are not sure, choose Not known yet.")


@dataclass(frozen=True, slots=True)
class FormInput:
    """What a person typed into the form; shown again when the report cannot be stored."""

    fields: Mapping[str, str]
    violence: tuple[str, ...] = ()
    has_new_report_id: bool = True
    """True when the submitted form had no usable report id and was given one."""

    @classmethod
    def from_fields(cls, fields: FormData) -> Self:
        """Reads submitted fields; of a repeated field the last value counts."""
        values = {name: _normalize_line_breaks(value) for name, value in fields.items() if isinstance(value, str)}
        violence = tuple(value for value in fields.getlist("violence") if isinstance(value, str))
        return cls(values, violence, has_new_report_id=False).with_report_id()

    def with_report_id(self) -> Self:
        """Returns the same input with a report id, generating one when it has no valid one."""
        try:
            UUID(self.fields.get("report_id", ""))
        except ValueError:
            return self.with_new_report_id()
        return self

    def with_new_report_id(self) -> Self:
        """Returns the same input under a new report id."""
        return replace(self, fields={**self.fields, "report_id": str(uuid4())}, has_new_report_id=True)

    def to_report_in(self) -> ReportIn:
        """Validates the fields as the API does, leaving empty ones out; raises ValidationError."""
        not_plain_fields = {"identity", "narrative", "violence", "received_at", "excluded_agencies"}
        names = set(ReportIn.model_fields) - not_plain_fields
        report: dict[str, Any] = {name: self.fields[name] for name in names if self.fields.get(name)}
        report["violence"] = list(self.violence)
        report["identity"] = {name: self.fields.get(name, "") for name in _IDENTITY}
        report["narrative"] = {name: self.fields.get(name, "") for name in _NARRATIVE}
        return ReportIn.model_validate({"channel": Channel.WEB_FORM.value, **report})


class FormPages:
    """Renders the form and the receipt page."""

    def __init__(self, city: City) -> None:
        self._templates = page_templates(*TEXT_PACKAGES)
        self._city = city

    def render_form(
        self, language: str, form_input: FormInput, problems: Mapping[str, str] | None = None, *,
        status: int = 200, failure: Failure | None = None,
    ) -> HTMLResponse:  # fmt: skip
        """Renders the form with what was typed, and with the problems of its fields or of the service."""
        headers = {"retry-after": str(failure.retry_after)} if failure and failure.retry_after else {}
        return self._render(
            "form.html", language, failure.status if failure else status, headers, fields=form_input.fields,
            violence=form_input.violence, problems=problems or {}, failure=failure,
        )  # fmt: skip

    def render_receipt(self, language: str, **values: Any) -> HTMLResponse:
        """Renders the receipt page."""
        return self._render("receipt.html", language, 200, {}, **values)

    def _render(self, name: str, language: str, status: int, headers: dict[str, str], **values: Any) -> HTMLResponse:
        page = self._templates[language].get_template(name).render(
            city=self._city, emergency_numbers=self._city.emergency_numbers, identity_fields=_IDENTITY,
            Violence=Violence, Place=Place, Relation=Relation, Reporter=Reporter, Sex=Sex, Answer=Answer, **values,
        )  # fmt: skip
        return HTMLResponse(page, status, headers)


def add_pages(web: FastAPI, take_reports: TakeReports, city: City) -> None:
    """Registers the form's routes."""
    pages = FormPages(city)

    @web.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse(FORM_PATH)

    @web.get(FORM_PATH, response_class=HTMLResponse, tags=["public form"], summary="The public form")
    async def form(lang: str = "id") -> HTMLResponse:
        return pages.render_form(known_language(lang), FormInput({}).with_report_id())

    @web.post(FORM_PATH, response_class=HTMLResponse, tags=["public form"], summary="Send the public form")
    async def send(request: Request) -> HTMLResponse:
        try:
            fields = await _read_form(request)
        except HTTPException as error:
            return pages.render_form(
                language_of(request), FormInput({}).with_report_id(), failure=request_failure(error)
            )
        form_input = FormInput.from_fields(fields)
        return await _submit_report(request, pages, take_reports, form_input)

    @web.get("/style.css", include_in_schema=False)
    async def style() -> HTMLResponse:
        css = (files("simpul_intake") / "templates" / "style.css").read_text()
        return HTMLResponse(css, media_type="text/css")


async def _read_form(request: Request) -> FormData:
    """Reads the submitted fields; raises HTTPException when the body is no form, damaged or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORM_TYPES:
        raise HTTPException(415)
    try:
        return await request.form(max_fields=60, max_files=0, max_part_size=FORM_LIMITS.body_bytes)
    # UnicodeError covers character sets that Python knows but cannot decode.
    except (UnicodeError, ValueError) as error:
        raise HTTPException(400) from error


async def _submit_report(
    request: Request, pages: FormPages, take_reports: TakeReports, form_input: FormInput
) -> HTMLResponse:
    language = language_of(request, form_input.fields.get("lang", ""))
    translate = load_translations(*TEXT_PACKAGES)[language].gettext
    try:
        report = form_input.to_report_in().to_report(utc_now())
        if form_input.has_new_report_id:
            # Without an id, sending the form twice would create two cases. The form shown now has an id.
            problems = {"report_id": translate(_WITHOUT_ID)}
            return pages.render_form(language, form_input, problems, status=422)
        receipt = await take_reports.take_report(report)
    except ValidationError as error:
        return pages.render_form(language, form_input, _explain_problems(error, translate), status=422)
    except ReportIdReused:
        # The form was edited after it had been sent, so its content now is a new report.
        problems = {"report_id": translate(_ALREADY_SENT)}
        return pages.render_form(language, form_input.with_new_report_id(), problems, status=409)
    except Exception as error:
        return pages.render_form(language, form_input, failure=record_failure(request, error))
    return pages.render_receipt(language, receipt=receipt)


def _normalize_line_breaks(text: str) -> str:
    """Browsers send a line break as two characters but count it as one against maxlength."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _explain_problems(error: ValidationError, translate: Callable[[str], str]) -> dict[str, str]:
    problems = {}
    for found in error.errors(include_input=False):
        problem = explain_error(found)
        problems[str(found["loc"][-1])] = translate(problem.message).format_map(problem.values)
        if found["loc"][0] == "violence":
            problems["violence"] = translate(_NO_VIOLENCE)
    return problems

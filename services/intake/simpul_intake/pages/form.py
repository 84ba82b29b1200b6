"""The public form for a report, and the page with its receipt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from math import ceil
from typing import Any, Final, Self
from uuid import UUID, uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_intake.api import TEXT_PACKAGES, IdentityIn, NarrativeIn, ReportIn
from simpul_intake.api.error_handlers import EVENT_TIME_PROBLEMS
from simpul_intake.domain import check_event_time
from simpul_intake.errors import EventTimeImpossible, ReportIdReused, TooManyReports
from simpul_intake.pages.files import FILE_LIMITS
from simpul_intake.proof_of_work import PROOF_BITS
from simpul_intake.use_cases import LimitReports, Sender, TakeReports
from simpul_runtime.database import utc_now
from simpul_runtime.failures import Failure, FailureCode, record_failure, request_failure
from simpul_runtime.languages import known_language, language_of
from simpul_runtime.shell import Limits
from simpul_runtime.translations import page_templates
from simpul_runtime.validation import explain_error
from simpul_schema.translations import LANGUAGES, gettext_noop, load_translations
from simpul_schema.vocabulary import OUTSIDE_CITY, Answer, Channel, Place, Relation, Reporter, Sex, Violence

FORM_PATH: Final = "/lapor"
FORM_LIMITS: Final = Limits(body_bytes=1024 * 1024)
"""Large enough for both narratives in a script that takes nine bytes per letter when form-encoded."""
PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; connect-src 'self'; img-src 'self'; manifest-src 'self'; "
    "script-src 'self'; style-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
}
"""Of the public pages, in addition to those of every service."""
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
        # A member of the public reports for no complaint centre.
        not_in_form = {"identity", "narrative", "violence", "received_at", "excluded_agencies", "complaint_centre"}
        not_in_form |= {"duplicate_search", "duplicate_reason"}
        names = set(ReportIn.model_fields) - not_in_form
        report: dict[str, Any] = {name: self.fields[name] for name in names if self.fields.get(name)}
        day, hour = self.fields.get("happened_on", "").strip(), self.fields.get("happened_hour", "")
        report["happened_at"] = f"{day}T{hour}" if day and hour else day
        report["violence"] = list(self.violence)
        report["identity"] = {name: self.fields.get(name, "") for name in _IDENTITY}
        report["narrative"] = {name: self.fields.get(name, "") for name in _NARRATIVE}
        return ReportIn.model_validate({"channel": Channel.WEB_FORM.value, **report})


class FormPages:
    """Renders the form and the receipt page."""

    def __init__(self, city: City) -> None:
        self._templates = page_templates(*TEXT_PACKAGES)
        self.city = city

    def render_form(
        self,
        language: str,
        form_input: FormInput,
        problems: Mapping[str, str] | None = None,
        *,
        status: int = 200,
        failure: Failure | None = None,
    ) -> HTMLResponse:
        """Renders the form with what was typed, and with the problems of its fields or of the service."""
        headers = {"retry-after": str(failure.retry_after)} if failure and failure.retry_after else {}
        return self._render(
            "form.html",
            language,
            failure.status if failure else status,
            headers,
            fields=form_input.fields,
            violence=form_input.violence,
            problems=problems or {},
            failure=failure,
        )

    def render_receipt(self, language: str, **values: Any) -> HTMLResponse:
        """Renders the receipt page."""
        return self._render("receipt.html", language, 200, {}, **values)

    def _render(self, name: str, language: str, status: int, headers: dict[str, str], **values: Any) -> HTMLResponse:
        page = (
            self._templates[language]
            .get_template(name)
            .render(
                city=self.city,
                emergency_numbers=self.city.emergency_numbers,
                today=utc_now().astimezone(self.city.zone).date(),
                OUTSIDE_CITY=OUTSIDE_CITY,
                proof_bits=PROOF_BITS,
                identity_fields=_IDENTITY,
                Violence=Violence,
                Place=Place,
                Relation=Relation,
                Reporter=Reporter,
                Sex=Sex,
                Answer=Answer,
                file_limits=FILE_LIMITS,
                **values,
            )
        )
        return HTMLResponse(page, status, PAGE_HEADERS | headers)


def add_pages(web: FastAPI, take_reports: TakeReports, limit_reports: LimitReports, city: City) -> None:
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
            fields = await read_form(request)
        except HTTPException as error:
            return pages.render_form(
                language_of(request), FormInput({}).with_report_id(), failure=request_failure(error)
            )
        form_input = FormInput.from_fields(fields)
        if wanted := find_switch(fields):
            return pages.render_form(wanted, form_input)
        return await _submit_report(request, pages, take_reports, limit_reports, form_input)

    @web.get(f"{FORM_PATH}/line", include_in_schema=False)
    async def line() -> Response:
        """Answers a page that waits for the line; no cache of a browser answers for it."""
        return Response(status_code=204)

    _add_assets(web)


_ASSETS: Final[Mapping[str, str]] = {
    "style.css": "text/css",
    "proof.js": "text/javascript",
    "leave.js": "text/javascript",
    "draft-store.js": "text/javascript",
    "draft.js": "text/javascript",
    "lapor.svg": "image/svg+xml",
}
"""Files of the form -> media type."""


def _add_assets(web: FastAPI) -> None:
    """Registers what the form's page loads, and what keeps it for when the line is down."""
    contents = {
        name: (files("simpul_intake") / "templates" / name).read_bytes() for name in (*_ASSETS, "form-worker.js")
    }

    def add(name: str, media_type: str) -> None:
        @web.get(f"/{name}", include_in_schema=False)
        async def asset() -> Response:
            return Response(contents[name], media_type=media_type)

    for name, media_type in _ASSETS.items():
        add(name, media_type)

    version = sha256(b"".join(contents.values())).hexdigest()[:16]

    @web.get("/form-worker.js", include_in_schema=False)
    async def worker() -> Response:
        script = f'const VERSION = "{version}";\n'.encode() + contents["form-worker.js"]
        policy = "default-src 'none'; connect-src 'self'; script-src 'self'"
        headers = {"cache-control": "no-cache", "content-security-policy": policy}
        return Response(script, media_type="text/javascript", headers=headers)

    @web.get("/lapor.webmanifest", include_in_schema=False)
    async def manifest() -> Response:
        name = load_translations(*TEXT_PACKAGES)["id"].gettext("Service form")
        described = {
            "name": name,
            "short_name": name,
            "start_url": FORM_PATH,
            "scope": FORM_PATH,
            "display": "minimal-ui",
            "background_color": "#f5f7f8",
            "theme_color": "#0b5c7a",
            "icons": [{"src": "/lapor.svg", "sizes": "any", "type": "image/svg+xml"}],
        }
        return JSONResponse(described, media_type="application/manifest+json")


def find_switch(fields: FormData) -> str:
    """Returns the language in which a person wants to see the form with what they typed; empty if they send it."""
    wanted = fields.get("switch_language", "")
    return wanted if isinstance(wanted, str) and wanted in LANGUAGES else ""


async def read_form(request: Request) -> FormData:
    """Reads the submitted fields; raises HTTPException for another content type and for a damaged or large body."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORM_TYPES:
        raise HTTPException(415)
    try:
        return await request.form(max_fields=60, max_files=0, max_part_size=FORM_LIMITS.body_bytes)
    # UnicodeError covers character sets that Python knows but cannot decode.
    except (UnicodeError, ValueError) as error:
        raise HTTPException(400) from error


async def _submit_report(
    request: Request, pages: FormPages, take_reports: TakeReports, limit_reports: LimitReports, form_input: FormInput
) -> HTMLResponse:
    language = language_of(request, form_input.fields.get("lang", ""))
    translate = load_translations(*TEXT_PACKAGES)[language].gettext
    try:
        report = form_input.to_report_in().to_report(utc_now())
        check_event_time(report, report.received_at, pages.city.zone)
        if form_input.has_new_report_id:
            # Without an id, sending the form twice would create two cases. The form shown now has an id.
            problems = {"report_id": translate(_WITHOUT_ID)}
            return pages.render_form(language, form_input, problems, status=422)
        address = request.client.host if request.client else ""
        await limit_reports.admit(report, Sender(address, proof=form_input.fields.get("proof", "")))
        receipt = await take_reports.take_report(report)
    except ValidationError as error:
        return pages.render_form(language, form_input, _explain_problems(error, translate), status=422)
    except EventTimeImpossible as error:
        problems = {"happened_at": translate(EVENT_TIME_PROBLEMS[error.problem])}
        return pages.render_form(language, form_input, problems, status=422)
    except ReportIdReused:
        # The form was edited after it had been sent, so its content now is a new report.
        problems = {"report_id": translate(_ALREADY_SENT)}
        return pages.render_form(language, form_input.with_new_report_id(), problems, status=409)
    except Exception as error:
        failure = _over_limit(error) if isinstance(error, TooManyReports) else record_failure(request, error)
        return pages.render_form(language, form_input, failure=failure)
    return pages.render_receipt(language, receipt=receipt)


def _over_limit(error: TooManyReports) -> Failure:
    return Failure(FailureCode.TOO_MANY, HTTPStatus.TOO_MANY_REQUESTS, ceil(error.wait.total_seconds()))


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

"""Renders failures and refusals: a page for a person, JSON with both languages for a program."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from simpul_runtime.failures import FAILURE_MESSAGES, Failure, FailureCode, Refusal
from simpul_runtime.languages import language_of
from simpul_runtime.translations import page_templates
from simpul_runtime.validation import FieldProblem
from simpul_schema.translations import SOURCE_LANGUAGE, Translations, load_translations, translate_all

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The content security policy of a page that brings none of its own."""


class EmergencyNumber(Protocol):
    """A number for immediate help, as `emergency.html` shows it."""

    @property
    def number(self) -> str:
        """The number as people write it."""

    @property
    def digits(self) -> str:
        """The number as a phone dials it."""

    @property
    def name(self) -> Mapping[str, str]:
        """Who answers, by language."""

    @property
    def is_call(self) -> bool:
        """False for a number that takes written messages only."""


class FailureOut(BaseModel):
    """A request that was not served."""

    code: str = Field(description="stable, for programs")
    detail: str = Field(description="what happened, in English")
    messages: dict[str, str] = Field(description="what happened, by language: id, en")
    reference: str | None = Field(default=None, description="reference of the operator's log entry")


class FieldProblemOut(BaseModel):
    """A field that is not valid; the value that was sent is never repeated."""

    field: str = Field(description="path of the field, such as identity.nik")
    code: str = Field(description="stable, for programs")
    detail: str = Field(description="what is wrong, in English")
    messages: dict[str, str] = Field(description="what is wrong, by language: id, en")


class InvalidRequestOut(FailureOut):
    """A request with fields that are not valid."""

    problems: list[FieldProblemOut]


DOCUMENTED_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": InvalidRequestOut, "description": "some fields are not valid"},
    503: {"model": FailureOut, "description": "cannot be served now; repeat the request after Retry-After seconds"},
}


class FailureResponses:
    """Answers failed requests in the language and format that they accept.

    `page_script` is the address of a script that every page of the service loads; empty for none.
    """

    def __init__(self, emergency_numbers: Sequence[EmergencyNumber], page_script: str = "") -> None:
        self._emergency_numbers = emergency_numbers
        self._page_script = page_script
        self._templates = page_templates("simpul_runtime")

    def respond(self, request: Request, failure: Failure, headers: Mapping[str, str] | None = None) -> Response:
        """Answers a failed request with a page or JSON."""
        given = dict(headers or {})
        if failure.retry_after:
            given["retry-after"] = str(failure.retry_after)
        if wants_page(request):
            if self._page_script:
                given["content-security-policy"] = f"{PAGE_POLICY}; script-src 'self'"
                # As of the service's pages: where the policies of two pages differ, Chromium starts the second one as
                # if in a new window, and what its script changes in the history is not written.
                given["cross-origin-opener-policy"] = "same-origin"
            return HTMLResponse(self._render_page(request, failure), failure.status, given)
        body = _failure_out(failure.code, failure.message, load_translations("simpul_runtime"), failure.reference)
        return _json(body, failure.status, given)

    def _render_page(self, request: Request, failure: Failure) -> str:
        return (
            self._templates[language_of(request)]
            .get_template("failure.html")
            .render(
                failure=failure,
                emergency_numbers=self._emergency_numbers,
                page_script=self._page_script,
                # Reloading is safe for requests without side effects only.
                reload_after=failure.retry_after if request.method in ("GET", "HEAD") else 0,
            )
        )


def wants_page(request: Request) -> bool:
    """Whether the client accepts HTML; other programs get JSON."""
    return "text/html" in request.headers.get("accept", "")


def refusal_response(refusal: Refusal, translations: Translations) -> JSONResponse:
    """Answers a request that the service refuses."""
    return _json(_failure_out(refusal.code, refusal.message, translations), refusal.status)


def invalid_request_response(problems: Sequence[FieldProblem], translations: Translations) -> JSONResponse:
    """Answers a request with invalid fields with 422 and the problem of each field."""
    failure = _failure_out(FailureCode.INVALID, FAILURE_MESSAGES[FailureCode.INVALID], translations)
    shown = [_problem_out(problem, translations) for problem in problems]
    return _json(InvalidRequestOut(**failure.model_dump(), problems=shown), 422)


def _failure_out(code: str, message: str, translations: Translations, reference: str = "") -> FailureOut:
    messages = translate_all(translations, message)
    return FailureOut(code=code, detail=messages[SOURCE_LANGUAGE], messages=messages, reference=reference or None)


def _problem_out(problem: FieldProblem, translations: Translations) -> FieldProblemOut:
    messages = translate_all(translations, problem.message, problem.values)
    return FieldProblemOut(field=problem.field, code=problem.code, detail=messages[SOURCE_LANGUAGE], messages=messages)


def _json(body: BaseModel, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body.model_dump(mode="json", exclude_none=True), status, dict(headers or {}))

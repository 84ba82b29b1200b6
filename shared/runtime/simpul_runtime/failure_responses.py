"""Answers to requests that could not be served: a page for a person, JSON for a program, in both languages."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, Field

from simpul_city import City
from simpul_runtime.failures import Failure, FailureCode
from simpul_runtime.languages import LANGUAGES, language_of
from simpul_runtime.texts import TEXTS


class FailureOut(BaseModel):
    """A request that could not be served."""

    code: FailureCode = Field(description="stable, for programs")
    detail: str = Field(description="what happened, in English")
    messages: dict[str, str] = Field(description="what happened, by language: id, en")
    reference: str | None = Field(default=None, description="under which the operator finds it in the log")


DOCUMENTED_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": FailureOut, "description": "cannot be served now; send the same again after Retry-After seconds"}
}


class FailureResponses:
    """Answers in the language and the form that the request asks for."""

    def __init__(self, city: City) -> None:
        self._city = city
        templates = Environment(loader=PackageLoader("simpul_runtime"), autoescape=True, undefined=StrictUndefined)
        self._page = templates.get_template("failure.html")

    def respond(self, request: Request, failure: Failure, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to a request that failed."""
        given = dict(headers or {})
        if failure.retry_after:
            given["retry-after"] = str(failure.retry_after)
        if wants_page(request):
            return HTMLResponse(self._render(request, failure), failure.status, given)
        return JSONResponse(_as_json(failure), failure.status, given)

    def _render(self, request: Request, failure: Failure) -> str:
        language = language_of(request)
        return self._page.render(
            language=language,
            t=TEXTS[language],
            failure=failure,
            emergency_numbers=self._city.emergency_numbers,
            # Loading the page again by itself repeats a request only if that changes nothing.
            reload_after=failure.retry_after if request.method in ("GET", "HEAD") else 0,
        )


def wants_page(request: Request) -> bool:
    """Whether a browser asks; programs that do not name HTML get JSON."""
    return "text/html" in request.headers.get("accept", "")


def _as_json(failure: Failure) -> dict[str, object]:
    messages = {language: TEXTS[language][failure.code] for language in LANGUAGES}
    answer = FailureOut(
        code=failure.code, detail=messages["en"], messages=messages, reference=failure.reference or None
    )
    return answer.model_dump(mode="json", exclude_none=True)

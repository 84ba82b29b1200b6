"""The web shell of every service: health, metrics, API documentation, errors a person understands."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from simpul_runtime.api_docs import add_api_docs
from simpul_runtime.failure_responses import DOCUMENTED_FAILURES, FailureResponses
from simpul_runtime.failures import request_failure
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.service import Service
from simpul_runtime.shell import Limits, Shell

_FRAMEWORK_DETAILS: Final = frozenset(
    {*(status.phrase for status in HTTPStatus), "There was an error parsing the body"}
)
"""What Starlette and FastAPI say by themselves, in English only and to nobody in particular."""


def shell_for(service: Service, *, title: str, description: str, limits: Mapping[str, Limits] | None = None) -> FastAPI:
    """A web application with what every service answers; `limits` has the paths whose limits are not the usual ones."""
    web = FastAPI(
        title=title, description=description, version="0.1.0", lifespan=service.lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"}, responses=DOCUMENTED_FAILURES,
    )  # fmt: skip
    failures = FailureResponses(service.city)
    web.add_middleware(Shell, limits=limits or {}, failures=failures)
    add_api_docs(web)

    @web.get("/health/live", tags=["operation"], summary="The process runs")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @web.get("/health/ready", tags=["operation"], summary="Database, broker, consumers and relay work")
    async def ready(response: Response) -> dict[str, Any]:
        troubles = await service.troubles()
        response.status_code = 503 if troubles else 200
        return {"status": "not ready" if troubles else "ready", "troubles": troubles, "warnings": service.warnings()}

    @web.get("/metrics", tags=["operation"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @web.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        # Browsers ask for it by themselves, and would note a missing one as an error.
        return Response(status_code=204)

    @web.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be personal, and errors end in logs and screenshots.
        problems = [
            {"field": _field(p["loc"]), "problem": f"{in_plain_words(p, 'id')} / {in_plain_words(p, 'en')}"}
            for p in error.errors()
        ]
        return JSONResponse({"detail": problems}, status_code=422)

    @web.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        # A detail of our own may also be a list, of one entry for each field.
        if not isinstance(error.detail, str) or error.detail not in _FRAMEWORK_DETAILS:
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        return failures.respond(request, request_failure(error), error.headers)

    return web


_PLAIN_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("Wajib diisi.", "This field is required."),
    "extra_forbidden": ("Isian ini tidak dikenal; periksa namanya.", "This field is not known; check its name."),
    "enum": ("Pilih salah satu dari {expected}.", "Choose one of {expected}."),
    "uuid_parsing": ("Harus berupa UUID acak.", "Must be a random UUID."),
    "int_parsing": ("Harus berupa angka bulat.", "Must be a whole number."),
    "int_type": ("Harus berupa angka bulat.", "Must be a whole number."),
    "greater_than_equal": ("Paling kecil {ge}.", "At least {ge}."),
    "less_than_equal": ("Paling besar {le}.", "At most {le}."),
    "string_too_long": (
        "Terlalu panjang; paling banyak {max_length} huruf.",
        "Too long; at most {max_length} letters.",
    ),
    "string_too_short": ("Tidak boleh kosong.", "Must not be empty."),
    "string_type": ("Harus berupa teks.", "Must be text."),
    "too_short": ("Isi sedikitnya {min_length}.", "Give at least {min_length}."),
    "too_long": ("Terlalu banyak; paling banyak {max_length}.", "Too many; at most {max_length}."),
    "json_invalid": ("Isi permintaan bukan JSON yang benar.", "The request is not valid JSON."),
    "timezone_aware": ("Waktu harus disertai zona, misalnya +07:00.", "The time needs a zone, such as +07:00."),
    "year_out_of_range": (
        "Tahun harus antara {ge} dan {le}; periksa tanggalnya.",
        "The year must lie between {ge} and {le}; check the date.",
    ),
    "datetime_from_date_parsing": ("Tulis waktu seperti 2026-11-24T22:15+07:00.", "Write 2026-11-24T22:15+07:00."),
}
_ANYTHING_ELSE = ("Isian ini tidak sesuai.", "This value does not fit.")


def in_plain_words(problem: Mapping[str, Any], language: str) -> str:
    """One problem of validation as a sentence; it never repeats what was sent."""
    indonesian, english = _PLAIN_WORDS.get(problem["type"], _ANYTHING_ELSE)
    return (english if language == "en" else indonesian).format(**problem.get("ctx", {}))


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "body")

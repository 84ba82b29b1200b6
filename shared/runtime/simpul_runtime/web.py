"""The web application every service starts from: health, API documentation, explained errors."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from simpul_runtime.api_docs import add_api_docs
from simpul_runtime.audit import sign_head
from simpul_runtime.database import utc_now
from simpul_runtime.failure_responses import (
    DOCUMENTED_FAILURES,
    EmergencyNumber,
    FailureResponses,
    invalid_request_response,
)
from simpul_runtime.failures import request_failure
from simpul_runtime.request_traces import RequestTraces
from simpul_runtime.service import Service
from simpul_runtime.shell import Limits, Shell
from simpul_runtime.validation import explain_error
from simpul_schema.translations import load_translations

_FRAMEWORK_DETAILS: Final = frozenset(
    {*(status.phrase for status in HTTPStatus), "There was an error parsing the body"}
)
"""Details that Starlette and FastAPI generate; they are replaced by translated messages."""


def create_web_app(
    service: Service,
    *,
    title: str,
    description: str,
    emergency_numbers: Sequence[EmergencyNumber],
    limits: Mapping[str, Limits] | None = None,
    page_script: str = "",
) -> FastAPI:
    """Creates a service's web application.

    `limits` maps paths to limits that differ from the default; `page_script` is the address of a script that the pages
    of failures load too.
    """
    web = FastAPI(
        title=title,
        description=description,
        version="0.1.0",
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        responses=DOCUMENTED_FAILURES,
        # FastAPI's own traces would hold addresses and messages of exceptions, so no variable may switch them on.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    failures = FailureResponses(emergency_numbers, page_script)
    web.add_middleware(Shell, limits=limits or {}, failures=failures)
    if service.is_traced:
        web.add_middleware(RequestTraces)
    add_api_docs(web)

    @web.get("/health/live", tags=["operation"], summary="The process runs")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @web.get("/health/ready", tags=["operation"], summary="Database, broker, consumers and relay work")
    async def ready(response: Response) -> dict[str, Any]:
        problems = await service.find_readiness_problems()
        response.status_code = 503 if problems else 200
        return {
            "status": "not ready" if problems else "ready",
            "problems": problems,
            "warnings": service.find_warnings(),
        }

    @web.get("/audit/head", tags=["operation"], summary="The end of the audit at the last full hour, signed")
    async def audit_head() -> dict[str, str]:
        async with service.engine.connect() as connection:
            head = await sign_head(connection, service.keys, utc_now())
        return head.to_dict()

    @web.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        # Browsers request it unasked and report a missing icon as an error.
        return Response(status_code=204)

    @web.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [explain_error(problem) for problem in error.errors()]
        return invalid_request_response(problems, load_translations("simpul_runtime"))

    @web.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        # A service's own detail is returned as it is; it may be a list.
        if not isinstance(error.detail, str) or error.detail not in _FRAMEWORK_DETAILS:
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        return failures.respond(request, request_failure(error), error.headers)

    return web

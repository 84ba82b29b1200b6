"""Requests that could not be served: which failure it is, its status, and the reference under which it is logged."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from simpul_runtime.metrics import REQUESTS_FAILED

log = structlog.get_logger()


class FailureCode(StrEnum):
    """Why a request could not be served; stable, for programs."""

    BUSY = "busy"
    DATABASE_UNAVAILABLE = "database_unavailable"
    STORAGE_FULL = "storage_full"
    TIMED_OUT = "timed_out"
    UNEXPECTED = "unexpected"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that could not be served."""

    code: FailureCode
    status: int
    retry_after: int = 0
    """Seconds after which the same request may work; 0 when repeating it is useless."""
    reference: str = ""
    """Under which the log has it; empty when the request itself was at fault and nothing is logged."""


_RETRY_AFTER: Final = {FailureCode.BUSY: 1, FailureCode.STORAGE_FULL: 60}
_DEFAULT_RETRY_AFTER: Final = 5

# PostgreSQL's SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY_STATES: Final = ("40001", "40P01")
"""Serialization failure and deadlock: two changes waited for each other and this one gave way."""
_FULL_STATES: Final = ("53100",)
_UNAVAILABLE_STATES: Final = ("08", "53300", "57P", "25006")
"""Connection lost, too many connections, server shutting down or starting, and a standby that cannot write."""

_BY_STATUS: Final = {
    400: FailureCode.UNREADABLE,
    404: FailureCode.NOT_FOUND,
    405: FailureCode.METHOD_NOT_ALLOWED,
    413: FailureCode.TOO_LARGE,
    415: FailureCode.UNSUPPORTED_MEDIA_TYPE,
}


def failure_code(error: Exception) -> FailureCode:
    """Which failure of the service this exception stands for."""
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if state.startswith(_BUSY_STATES):
        return FailureCode.BUSY
    if state.startswith(_FULL_STATES):
        return FailureCode.STORAGE_FULL
    if state.startswith(_UNAVAILABLE_STATES) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return FailureCode.DATABASE_UNAVAILABLE
    # A time limit of asyncio's is an OSError too.
    if isinstance(error, TimeoutError):
        return FailureCode.TIMED_OUT
    # The driver lets a refused connection through as it is.
    if isinstance(error, PoolTimeoutError | ConnectionError | OSError):
        return FailureCode.DATABASE_UNAVAILABLE
    return FailureCode.UNEXPECTED


def record_failure(request: Request, error: Exception) -> Failure:
    """Logs and counts a failure of the service once; whoever is answered gets its reference.

    Whatever failed, the answer is 503: reports and changes are safe to repeat, and a client that repeats them loses
    nothing once the fault is mended.
    """
    code = failure_code(error)
    reference = _reference()
    route = getattr(request.scope.get("route"), "path", "")
    REQUESTS_FAILED.labels(code.value).inc()
    log.error("request_failed", type=code.value, reference=reference, path=route, exc_info=error)
    return Failure(code, HTTPStatus.SERVICE_UNAVAILABLE, _RETRY_AFTER.get(code, _DEFAULT_RETRY_AFTER), reference)


def request_failure(error: HTTPException) -> Failure:
    """The failure of a request that was itself at fault."""
    return Failure(_BY_STATUS.get(error.status_code, FailureCode.REFUSED), error.status_code)


def _reference() -> str:
    digits = secrets.token_hex(4).upper()
    return f"{digits[:4]}-{digits[4:]}"

"""Classifies requests that cannot be served, and logs failures of the service under a reference."""

import secrets
from collections.abc import Mapping
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
from simpul_schema.translations import gettext_noop

log = structlog.get_logger()


class FailureCode(StrEnum):
    """Why a request cannot be served; stable, for programs."""

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
    INVALID = "invalid"
    TOO_MANY = "too_many"
    REFUSED = "refused"


FAILURE_MESSAGES: Final[Mapping[FailureCode, str]] = {
    FailureCode.BUSY: gettext_noop("The system is busy. Nothing was stored."),
    FailureCode.DATABASE_UNAVAILABLE: gettext_noop("The system has a fault: its storage cannot be reached."),
    FailureCode.STORAGE_FULL: gettext_noop("The system has a fault: its storage is full. Nothing was stored."),
    FailureCode.TIMED_OUT: gettext_noop("The system took too long to answer."),
    FailureCode.UNEXPECTED: gettext_noop("The system has a fault."),
    FailureCode.NOT_FOUND: gettext_noop("This page does not exist. Check its address."),
    FailureCode.METHOD_NOT_ALLOWED: gettext_noop("This page cannot be used in that way. Open it again from the start."),
    FailureCode.TOO_LARGE: gettext_noop(
        "The request is too large and was not stored. Shorten your text, or choose smaller files, and send it again."
    ),
    FailureCode.UNREADABLE: gettext_noop(
        "The request is damaged and was not stored. Fill in the form again and send it."
    ),
    FailureCode.UNSUPPORTED_MEDIA_TYPE: gettext_noop(
        "The request did not come from this form and was not stored. Fill in the form and send it."
    ),
    FailureCode.INVALID: gettext_noop("Some fields are not valid. Correct them and send the request again."),
    FailureCode.TOO_MANY: gettext_noop("Too many requests came from this connection. Nothing was stored."),
    FailureCode.REFUSED: gettext_noop("This request cannot be served."),
}
"""What a person reads."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that cannot be served."""

    code: FailureCode
    status: int
    retry_after: int = 0
    """Seconds after which the same request may succeed; 0 when repeating it is useless."""
    reference: str = ""
    """The log entry's reference; empty when the request itself was at fault and nothing is logged."""

    @property
    def message(self) -> str:
        """What a person reads, in English."""
        return FAILURE_MESSAGES[self.code]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a service refuses a valid request: the HTTP status, a stable code for programs, and an English message."""

    status: int
    code: str
    message: str


_RETRY_AFTER: Final = {FailureCode.BUSY: 1, FailureCode.STORAGE_FULL: 60}
_DEFAULT_RETRY_AFTER: Final = 5

# PostgreSQL's SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY_STATES: Final = ("40001", "40P01")
"""Serialization failure and deadlock: PostgreSQL rolled this transaction back in favour of another."""
_FULL_STATES: Final = ("53100",)
_UNAVAILABLE_STATES: Final = ("08", "53300", "57P", "25006")
"""Connection lost, too many connections, server shutting down or starting, read-only standby."""

_BY_STATUS: Final = {
    400: FailureCode.UNREADABLE,
    404: FailureCode.NOT_FOUND,
    405: FailureCode.METHOD_NOT_ALLOWED,
    413: FailureCode.TOO_LARGE,
    415: FailureCode.UNSUPPORTED_MEDIA_TYPE,
    422: FailureCode.INVALID,
    429: FailureCode.TOO_MANY,
}


def failure_code(error: Exception) -> FailureCode:
    """Classifies an exception."""
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if state.startswith(_BUSY_STATES):
        return FailureCode.BUSY
    if state.startswith(_FULL_STATES):
        return FailureCode.STORAGE_FULL
    if state.startswith(_UNAVAILABLE_STATES) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return FailureCode.DATABASE_UNAVAILABLE
    # Checked before OSError, of which TimeoutError is a subclass.
    if isinstance(error, TimeoutError):
        return FailureCode.TIMED_OUT
    # The driver raises a refused connection unwrapped.
    if isinstance(error, PoolTimeoutError | ConnectionError | OSError):
        return FailureCode.DATABASE_UNAVAILABLE
    return FailureCode.UNEXPECTED


def record_failure(request: Request, error: Exception) -> Failure:
    """Logs and counts a failure of the service, and returns it with the log entry's reference.

    The status is always 503, because every request is safe to repeat and succeeds once the fault is repaired.
    """
    code = failure_code(error)
    reference = _reference()
    route = getattr(request.scope.get("route"), "path", "")
    REQUESTS_FAILED.labels(code.value).inc()
    log.error("request_failed", type=code.value, reference=reference, path=route, exc_info=error)
    return Failure(code, HTTPStatus.SERVICE_UNAVAILABLE, _RETRY_AFTER.get(code, _DEFAULT_RETRY_AFTER), reference)


def request_failure(error: HTTPException) -> Failure:
    """Classifies a request that was itself at fault."""
    return Failure(_BY_STATUS.get(error.status_code, FailureCode.REFUSED), error.status_code)


def _reference() -> str:
    digits = secrets.token_hex(4).upper()
    return f"{digits[:4]}-{digits[4:]}"

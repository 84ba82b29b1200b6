"""Structured logs that hold ids, codes, counts and times only.

Keys are allowed one by one: the value of any other key is replaced. An exception is written as its type and its place
in the code, because its message may quote a value.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

import structlog

ALLOWED: Final = frozenset(
    {
        "event", "level", "logger", "timestamp", "service", "error", "at", "reason", "type", "source", "queue",
        "exchange", "routing_key", "message_id", "event_id", "case_id", "referral_id", "service_id", "alert_id",
        "agency", "party", "state", "channel", "status", "reference", "attempts", "count", "seconds", "days", "port",
        "path", "url", "signal", "task", "withheld", "kelurahan_known", "version", "key_id", "erased", "reduced",
    }
)  # fmt: skip
_SAFE_TEXT: Final = re.compile(r"[A-Za-z0-9_./:<>{}\-]{0,120}")
_URL_SECRET: Final = re.compile(r"//[^@/]*@")
REDACTED: Final = "[redacted]"


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keeps allowed keys whose values look like ids, codes, counts or times; replaces all other values."""
    for key, value in event.items():
        if key not in ALLOWED:
            event[key] = REDACTED
        elif isinstance(value, Enum):
            event[key] = value.value
        elif isinstance(value, UUID | datetime | date | timedelta):
            event[key] = str(value)
        elif isinstance(value, str) and key not in ("event", "timestamp"):
            shown = _URL_SECRET.sub("//", value)
            event[key] = shown if _SAFE_TEXT.fullmatch(shown) else REDACTED
        elif not isinstance(value, str | int | float | bool | type(None)):
            event[key] = REDACTED
    return event


def _exception_as_place(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    failure = event.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()[1]
    elif isinstance(failure, tuple):
        failure = failure[1]
    if isinstance(failure, BaseException):
        event["error"] = type(failure).__name__
        frames = traceback.extract_tb(failure.__traceback__)
        if frames:
            last = frames[-1]
            event["at"] = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
    event.pop("exception", None)
    event.pop("stack_info", None)
    return event


class _TemplateOnly(logging.Formatter):
    """Formats the records of libraries without message and arguments, which may hold personal data."""

    def format(self, record: logging.LogRecord) -> str:
        entry: MutableMapping[str, Any] = {
            "event": "library_logged",
            "level": record.levelname.lower(),
            "logger": record.name,
            "at": f"{record.filename}:{record.lineno}",
            "exc_info": record.exc_info,
            "timestamp": datetime.fromtimestamp(record.created).astimezone().isoformat(),
        }
        return str(
            structlog.processors.JSONRenderer()(None, "", redact(None, "", _exception_as_place(None, "", entry)))
        )


def configure_logging(service: str, level: str) -> None:
    """Makes this service and its libraries log JSON lines to standard output."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, force=True)
    logging.getLogger().handlers[0].setFormatter(_TemplateOnly())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_as_place,
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)

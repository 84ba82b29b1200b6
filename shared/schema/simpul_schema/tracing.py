"""Traces of events, from a report to the agencies; a span holds ids and types only.

Off until `start_tracing` finds the address of a collector in the variables that OpenTelemetry defines. Until then
nothing of OpenTelemetry is imported. Needs the extra `traces`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Optional, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from simpul_schema.envelope import Event

TRACEPARENT: Final = "traceparent"
"""The header with the trace of a message, as W3C Trace Context names it."""
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The variables that switch traces on; the first has the address of the collector, the second that of its traces."""
SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
COMPRESSIONS: Final = ("none", "gzip", "deflate")
PROTOCOL: Final = "http/protobuf"
"""The one protocol of OTLP that is spoken here."""
_VALID: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """One step of a trace."""

    @property
    def traceparent(self) -> str:
        """What a message carries that this step causes."""

    def end(self, error: str = "", name: str = "", **attributes: object) -> None:
        """Ends the step; `error` is the type of what went wrong, `name` replaces its name."""


class Tracer(Protocol):
    """Makes spans and exports them."""

    def start_span(self, name: str, kind: str, parent: str, attributes: Mapping[str, object]) -> Span:
        """Starts a step after `parent`, or a trace if that is empty; `kind` is server, producer or consumer."""


class TracesRefused(Exception):
    """A variable has a value with which no trace can be exported; the value is not shown."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"{variable} has a value with which no trace can be exported")
        self.variable = variable


def _is_address(value: str) -> bool:
    try:
        address = urlsplit(value)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and int(value) > 0


def _is_ratio(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _is_list_of_pairs(value: str) -> bool:
    return all(pair.partition("=")[0].strip() and "=" in pair for pair in value.split(",") if pair.strip())


_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    **dict.fromkeys(ENDPOINTS, _is_address),
    "OTEL_EXPORTER_OTLP_PROTOCOL": PROTOCOL.__eq__,
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": PROTOCOL.__eq__,
    "OTEL_EXPORTER_OTLP_COMPRESSION": COMPRESSIONS.__contains__,
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": COMPRESSIONS.__contains__,
    "OTEL_EXPORTER_OTLP_HEADERS": _is_list_of_pairs,
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": _is_list_of_pairs,
    "OTEL_EXPORTER_OTLP_CERTIFICATE": os.path.isfile,
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": os.path.isfile,
    "OTEL_TRACES_SAMPLER": SAMPLERS.__contains__,
    "OTEL_TRACES_SAMPLER_ARG": _is_ratio,
}
"""What OpenTelemetry replaces by a default or finds wrong at each export."""
_COUNTS: Final = re.compile("OTEL_(BSP_[A-Z_]+|EXPORTER_OTLP_(TRACES_)?TIMEOUT|[A-Z_]+_LIMIT)")

_tracers: Final[list[Tracer]] = []
"""The tracer of this process; none while traces are off."""
_causes: ContextVar[Mapping[Optional[UUID], str]] = ContextVar("traces_of_causes", default=MappingProxyType({}))
"""Event or case that is handled now -> its trace; None -> the trace of whatever else is written."""


def start_tracing(
    name: str, on_change: Callable[[bool], object] = bool, environment: Mapping[str, str] = os.environ
) -> bool:
    """Switches traces on if a collector is configured; returns whether they are on.

    The first call decides for the process. `on_change` gets False, in another thread, when a collector takes no more
    traces, and True when it takes them again. Raises ImportError if the extra `traces` is missing, and TracesRefused.
    """
    if not _tracers and any(environment.get(one) for one in ENDPOINTS):
        _check_settings(environment)
        # It writes lines without a reason at each attempt; `on_change` is called once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        try:
            from simpul_schema.otlp_traces import OtlpTracer  # noqa: PLC0415 - costs 10 MB, so only where it is used

            _tracers.append(OtlpTracer(name, on_change))
        except (ValueError, TypeError, OSError) as error:
            # Only the name: the message may quote a value, such as a header with a password.
            named = re.search(r"OTEL_[A-Z_]+", str(error))
            raise TracesRefused(named[0] if named else "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") from None
    return bool(_tracers)


def _check_settings(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        is_valid = _is_count if _COUNTS.fullmatch(name) else _CHECKS.get(name)
        if is_valid and value.strip() and not is_valid(value.strip()):
            raise TracesRefused(name)


def traceparent_in(headers: Mapping[str, Any]) -> str:
    """Returns the trace in a message's headers; empty if there is none or it is invalid."""
    found = headers.get(TRACEPARENT)
    if isinstance(found, bytes):
        found = found.decode("latin-1")
    return found if isinstance(found, str) and _VALID.fullmatch(found) else ""


def current_traceparent(*causes: Optional[UUID]) -> str:
    """Returns the trace of the first of `causes` that is handled now, or else that of the request; may be empty."""
    known = _causes.get()
    return next((known[cause] for cause in (*causes, None) if cause in known), "") if known else ""


@dataclass
class RequestOutcome:
    """What is known of a request once it was answered."""

    route: str = ""
    """The path with the names of its parts, never with their values."""
    status: int = 500


@contextmanager
def trace_request(method: str) -> Iterator[RequestOutcome]:
    """Traces a request; the trace begins here, because what a client sends as its own may hold anything."""
    outcome = RequestOutcome()
    if not _tracers:
        yield outcome
        return
    span = _tracers[0].start_span(method, "server", "", {"http.request.method": method})
    token = _causes.set({None: span.traceparent})
    try:
        yield outcome
    finally:
        _causes.reset(token)
        about = {"http.response.status_code": outcome.status} | ({"http.route": outcome.route} if outcome.route else {})
        span.end(str(outcome.status) if outcome.status >= 500 else "", f"{method} {outcome.route}".strip(), **about)


@contextmanager
def trace_publishing(
    parent: str, exchange: str, routing_key: str, *, message_id: UUID, case_id: UUID
) -> Iterator[dict[str, str]]:
    """Traces a message until the broker has confirmed it; yields the headers that it carries for the trace."""
    if not _tracers:
        yield {}
        return
    about = _describe("send", exchange, message_id, case_id)
    about["messaging.rabbitmq.destination.routing_key"] = routing_key
    span = _tracers[0].start_span(f"send {exchange}", "producer", parent, about)
    error = "CancelledError"
    try:
        yield {TRACEPARENT: span.traceparent}
        error = ""
    except Exception as failure:
        error = type(failure).__name__
        raise
    finally:
        span.end(error)


@contextmanager
def trace_processing(events: Sequence[Event], parents: Sequence[str], destination: str) -> Iterator[None]:
    """Traces the handling of events; what is published because of one of them belongs to its trace."""
    if not _tracers:
        yield
        return
    handled = [_Handled(event, parent, destination, len(events)) for event, parent in zip(events, parents, strict=True)]
    causes: dict[Optional[UUID], str] = {None: handled[0].span.traceparent} if len(handled) == 1 else {}
    for one in handled:
        causes[one.event.correlationid] = causes[one.event.id] = one.span.traceparent
    token = _causes.set(causes)
    error = "CancelledError"
    try:
        yield
        error = ""
    except Exception as failure:
        error = type(failure).__name__
        raise
    finally:
        _causes.reset(token)
        for one in handled:
            one.span.end(error)


@dataclass
class _Handled:
    """An event that is handled now, and its span."""

    event: Event
    parent: str
    destination: str
    together: int
    span: Span = field(init=False)

    def __post_init__(self) -> None:
        about = _describe("process", self.destination, self.event.id, self.event.correlationid) | {
            "cloudevents.event_id": self.event.id,
            "cloudevents.event_source": self.event.source,
            "cloudevents.event_type": self.event.type,
        }
        if self.together > 1:
            about["messaging.batch.message_count"] = self.together
        self.span = _tracers[0].start_span(f"process {self.destination}", "consumer", self.parent, about)


def _describe(operation: str, destination: str, message_id: UUID, case_id: UUID) -> dict[str, object]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
        "messaging.message.id": message_id,
        "messaging.message.conversation_id": case_id,
    }

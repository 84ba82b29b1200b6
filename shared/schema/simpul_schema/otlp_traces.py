"""Exports spans to an OpenTelemetry collector by OTLP over HTTP; `simpul_schema.tracing` imports it where it is used.

The provider is not made the global one, so that a library that traces by itself exports nothing: it would add paths,
addresses and messages of exceptions.
"""

import atexit
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ALLOWED: Final = frozenset(
    {
        "http.request.method", "http.response.status_code", "http.route", "messaging.system",
        "messaging.operation.name", "messaging.operation.type", "messaging.destination.name", "messaging.message.id",
        "messaging.message.conversation_id", "messaging.rabbitmq.destination.routing_key",
        "messaging.batch.message_count", "cloudevents.event_id", "cloudevents.event_source", "cloudevents.event_type",
        "error.type",
    }
)  # fmt: skip
"""The attributes that a span may have; every other one is left out."""
EXPORT_TIMEOUT: Final = 3.0
"""Seconds that a collector has for one export, unless the environment says otherwise; a process that ends waits."""
_TIMEOUTS: Final = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
_SAFE_TEXT: Final = re.compile(r"[A-Za-z0-9_./:{}\-]{1,120}")
_SAFE_NAME: Final = re.compile(r"[A-Za-z]+( [A-Za-z0-9_./:{}\-]{1,120})?")
REDACTED: Final = "[redacted]"
_KINDS: Final = {"server": SpanKind.SERVER, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OtlpSpan:
    """One step of a trace."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What a message carries that this step causes."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, error: str = "", name: str = "", **attributes: object) -> None:
        """Ends the step; `error` is the type of what went wrong, `name` replaces its name."""
        if name:
            self._span.update_name(_safe(name, _SAFE_NAME))
        if error:
            # Never the exception itself, because its message may quote a value.
            self._span.set_status(StatusCode.ERROR)
            attributes["error.type"] = error
        self._span.set_attributes(keep_allowed(attributes))
        self._span.end()


class ObservedExporter(SpanExporter):
    """Exports, and reports once when a collector takes no more traces and once when it takes them again."""

    def __init__(self, exporter: SpanExporter, on_change: Callable[[bool], object]) -> None:
        self._exporter = exporter
        self._on_change = on_change
        self._is_closing = False
        self.is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports spans, which are lost when the collector does not take them."""
        if self._is_closing and self.is_failing:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing != self.is_failing:
            self.is_failing = is_failing
            self._on_change(not is_failing)
        return result

    def close_soon(self) -> None:
        """Tries the export of what is left once: a process does not wait for a collector that takes nothing."""
        self._is_closing = True
        if self.is_failing:
            # Also ends the pause before another attempt.
            self._exporter.shutdown()

    def shutdown(self) -> None:
        """Ends the exporter."""
        if not (self._is_closing and self.is_failing):
            self._exporter.shutdown()


class OtlpTracer:
    """Makes spans and exports them in the background."""

    def __init__(
        self, name: str, on_change: Callable[[bool], object] = bool, exporter: SpanExporter | None = None
    ) -> None:
        """Takes the name of the service; the exporter reads its settings from the environment."""
        timeout = None if any(os.environ.get(one) for one in _TIMEOUTS) else EXPORT_TIMEOUT
        self._exporter = ObservedExporter(exporter or OTLPSpanExporter(timeout=timeout), on_change)
        resource = Resource.create({"service.namespace": "simpul", "service.name": name})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("simpul")
        atexit.register(self.close)

    def close(self) -> None:
        """Exports what is left, and ends."""
        self._exporter.close_soon()
        self._provider.shutdown()

    def start_span(self, name: str, kind: str, parent: str, attributes: Mapping[str, object]) -> OtlpSpan:
        """Starts a step after `parent`, or a trace if that is empty; `kind` is server, producer or consumer."""
        context = _PROPAGATOR.extract({"traceparent": parent}, Context())
        allowed = keep_allowed(attributes)
        return OtlpSpan(self._tracer.start_span(_safe(name, _SAFE_NAME), context, _KINDS[kind], allowed))


def keep_allowed(attributes: Mapping[str, object]) -> dict[str, str | int]:
    """Keeps allowed attributes; replaces a value that does not look like an id, a code or a number."""
    return {
        name: value if isinstance(value, int) else _safe(str(value))
        for name, value in attributes.items()
        if name in ALLOWED
    }


def _safe(text: str, form: re.Pattern[str] = _SAFE_TEXT) -> str:
    return text if form.fullmatch(text) else REDACTED

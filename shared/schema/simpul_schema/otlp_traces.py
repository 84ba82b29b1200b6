"""Exports spans to an OpenTelemetry collector by OTLP over HTTP; `simpul_schema.tracing` imports it where it is used.

The provider is not made the global one, so that a library that traces by itself exports nothing: it would add paths,
addresses and messages of exceptions.
"""

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
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


class OtlpTracer:
    """Makes spans and exports them in the background."""

    def __init__(self, name: str, exporter: SpanExporter | None = None) -> None:
        """Takes the name of the service; the exporter reads its settings from the environment."""
        self._provider = TracerProvider(resource=Resource.create({"service.namespace": "simpul", "service.name": name}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("simpul")

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

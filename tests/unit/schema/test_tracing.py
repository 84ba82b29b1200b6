"""Traces are off without a collector, and a span holds ids and types only."""

import subprocess
import sys
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from simpul_schema import tracing
from simpul_schema.messages import ReferralOfferedV1
from simpul_schema.otlp_traces import ObservedExporter, OtlpTracer, keep_allowed
from simpul_schema.samples import samples
from simpul_schema.tracing import (
    TracesRefused,
    current_traceparent,
    start_tracing,
    trace_processing,
    trace_publishing,
    trace_request,
    traceparent_in,
)

CASE = UUID(int=1)
IMPORTED = """
import sys
import simpul_runtime.web, simpul_agency
from simpul_schema.tracing import start_tracing
assert not start_tracing("intake")
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "google."))])
"""
EVENT = next(ReferralOfferedV1.read_json(body) for name, _, body in samples() if name == "referral.offered.v1")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Traces that are on, and what they export."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracers", [OtlpTracer("intake", exporter=exporter)])
    return exporter


def spans(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, object]]]:
    """Returns name and attributes of each span that has ended."""
    tracing._tracers[0]._provider.force_flush()  # type: ignore[attr-defined]  # of the tracer that exports
    return [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], env={}, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:port"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a-password"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/authority.pem"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "10 %"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(tracing, "_tracers", [])

    with pytest.raises(TracesRefused) as refused:
        start_tracing("intake", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", name: value})

    assert refused.value.variable == name
    assert value not in str(refused.value)


def test_what_opentelemetry_itself_refuses_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracers", [])
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")

    with pytest.raises(TracesRefused, match=r"^OTEL_BSP_MAX_EXPORT_BATCH_SIZE has"):
        start_tracing("intake", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})


class _Collector(SpanExporter):
    """Takes spans or does not, as it is set."""

    def __init__(self) -> None:
        self.result = SpanExportResult.FAILURE
        self.calls: list[str] = []

    def export(self, _: object) -> SpanExportResult:
        self.calls.append("export")
        return self.result

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def test_a_collector_that_does_not_answer_is_reported_once_and_when_it_answers_again() -> None:
    collector, changes = _Collector(), list[bool]()
    exporter = ObservedExporter(collector, changes.append)

    exporter.export([])
    exporter.export([])
    collector.result = SpanExportResult.SUCCESS
    exporter.export([])
    exporter.export([])

    assert changes == [False, True]


def test_a_process_that_ends_does_not_wait_for_a_collector_that_takes_nothing() -> None:
    collector = _Collector()
    exporter = ObservedExporter(collector, bool)
    exporter.export([])

    exporter.close_soon()
    exporter.export([])
    exporter.shutdown()

    assert collector.calls == ["export", "shutdown"]


def test_without_a_collector_no_message_carries_a_trace() -> None:
    assert not start_tracing("intake", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    with trace_request("POST"):
        assert current_traceparent() == ""
    with trace_publishing("", "simpul.events", "case.reported.v1", message_id=CASE, case_id=CASE) as headers:
        assert headers == {}


def test_what_an_event_causes_belongs_to_its_trace(exported: InMemorySpanExporter) -> None:
    with trace_request("POST"):
        request = current_traceparent(None, CASE)
    with trace_processing([EVENT, EVENT], [request, ""], "simpul.events"):
        of_event = current_traceparent(EVENT.id)

        assert current_traceparent(CASE, EVENT.correlationid) == of_event
        assert current_traceparent(CASE) == ""

    assert traceparent_in({"traceparent": of_event}) == of_event
    assert current_traceparent(EVENT.id) == ""
    first, second = (about["cloudevents.event_type"] for name, about in spans(exported) if name.startswith("process"))
    assert (first, second) == ("referral.offered.v1", "referral.offered.v1")
    server, handled, _ = exported.get_finished_spans()
    assert handled.parent
    assert handled.parent.span_id == server.context.span_id


def test_a_failure_is_named_by_its_type_and_not_by_its_message(exported: InMemorySpanExporter) -> None:
    def fail() -> None:
        with trace_publishing("", "simpul.events", "case.reported.v1", message_id=CASE, case_id=CASE):
            message = "Wulan Paksibumi"
            raise ValueError(message)

    with pytest.raises(ValueError, match="Wulan"):
        fail()

    (name, about), *_ = spans(exported)
    (span,) = exported.get_finished_spans()
    assert (name, about["error.type"]) == ("send simpul.events", "ValueError")
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())


def test_other_attributes_and_free_text_are_kept_out() -> None:
    given = {"child.name": "Wulan", "http.route": "Wulan Paksibumi", "messaging.message.id": CASE}

    assert keep_allowed(given) == {"http.route": "[redacted]", "messaging.message.id": str(CASE)}


@pytest.mark.parametrize("given", ["", "Wulan", "00-" + "g" * 32 + "-" + "1" * 16 + "-01", 7, None, b"\xff"])
def test_a_header_that_is_no_trace_is_left_out(given: object) -> None:
    assert traceparent_in({"traceparent": given}) == ""

"""Traces are off without a collector, and a span holds ids and types only."""

import subprocess
import sys
from uuid import UUID

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from simpul_schema import tracing
from simpul_schema.messages import ReferralOfferedV1
from simpul_schema.otlp_traces import OtlpTracer, keep_allowed
from simpul_schema.samples import samples
from simpul_schema.tracing import (
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
    monkeypatch.setattr(tracing, "_tracers", [OtlpTracer("intake", exporter)])
    return exporter


def spans(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, object]]]:
    """Returns name and attributes of each span that has ended."""
    tracing._tracers[0]._provider.force_flush()  # type: ignore[attr-defined]  # of the tracer that exports
    return [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], env={}, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_without_a_collector_no_message_carries_a_trace() -> None:
    assert not start_tracing("intake", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
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

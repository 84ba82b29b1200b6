"""A collector that receives traces by OTLP over HTTP and keeps what it got."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """The spans of every service, each with the name of its service under `service.name`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        """Every request as it came: path, headers and body."""
        self.spans: list[dict[str, Any]] = []
        self.url = ""

    def add(self, head: bytes, body: bytes) -> None:
        """Keeps one export."""
        self.received.append(head + body)
        exported = ExportTraceServiceRequest.FromString(body)
        for resource in exported.resource_spans:
            service = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_read_span(service, span) for span in scope.spans]


def _read_span(service: str, span: Any) -> dict[str, Any]:
    values = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    return values | {
        "service.name": service,
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
    }


def read_traces(collector: Collector) -> bytes:
    """Returns everything that a collector got: ids are bytes in an export, and digits in what a person reads."""
    return b"\n".join(collector.received) + json.dumps(collector.spans).encode()


async def export_span(collector: Collector, name: str) -> None:
    """Exports one span as a program does, with this name and an attribute of the same content."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "intake"
    span = resource.scope_spans.add().spans.add(name=name)
    span.attributes.add(key="exception.message").value.string_value = name
    headers = {"Content-Type": "application/x-protobuf"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{collector.url}/v1/traces", data=request.SerializeToString(), headers=headers),
    ):
        pass


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Receives on a free port during the block."""
    collector = Collector()

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.add(f"{self.path}\n{self.headers}".encode(), body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receive) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector
        server.shutdown()

"""Metrics for operators; labels are codes of closed sets, never ids."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

REGISTRY = CollectorRegistry()
# Memory, processor time and open files of the process.
ProcessCollector(registry=REGISTRY)

MESSAGES_HANDLED = Counter("simpul_messages_handled", "Messages by outcome", ["type", "outcome"], registry=REGISTRY)
MESSAGES_PARKED = Counter("simpul_messages_parked", "Messages parked, by reason", ["reason"], registry=REGISTRY)
BATCH_SIZE = Histogram(
    "simpul_batch_size",
    "Items processed in one transaction",
    ["batch"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
    registry=REGISTRY,
)
EVENTS_PUBLISHED = Counter("simpul_events_published", "Events confirmed by the broker", registry=REGISTRY)
EVENTS_REFUSED = Counter(
    "simpul_events_refused", "Failed attempts to publish an event, by cause", ["cause"], registry=REGISTRY
)
OUTBOX_PENDING = Gauge("simpul_outbox_pending", "Events not yet confirmed by the broker", registry=REGISTRY)
OUTBOX_OLDEST = Gauge(
    "simpul_outbox_oldest_seconds", "Age of the oldest event not yet confirmed by the broker", registry=REGISTRY
)
MESSAGES_UNROUTED = Gauge("simpul_messages_unrouted", "Events that reached no queue", registry=REGISTRY)
INBOX_UNFINISHED = Gauge(
    "simpul_inbox_unfinished", "Messages waiting for a predecessor or a retry", ["state"], registry=REGISTRY
)
HELD_EVENTS = Gauge(
    "simpul_held_events", "Events that wait until this party has a usable key", ["party"], registry=REGISTRY
)
HELD_OLDEST = Gauge(
    "simpul_held_oldest_seconds",
    "Age of the oldest event that waits for a usable key of this party",
    ["party"],
    registry=REGISTRY,
)
KEY_EXPIRY = Gauge(
    "simpul_key_expiry_timestamp_seconds",
    "When the last usable key of a party expires; 0 when it has none",
    ["party"],
    registry=REGISTRY,
)
REQUESTS_FAILED = Counter("simpul_requests_failed", "Requests answered with 503, by cause", ["code"], registry=REGISTRY)


@contextmanager
def serve_metrics(host: str, port: int) -> Iterator[None]:
    """Serves the metrics by HTTP while the block runs; ends the process when the address cannot be used."""
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        msg = f"metrics cannot be served on {host}:{port} ({error.strerror}); set SIMPUL_METRICS_PORT"
        raise SystemExit(msg) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

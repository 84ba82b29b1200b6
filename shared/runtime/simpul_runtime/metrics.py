"""What an operator watches; labels are codes of closed sets, never an id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

MESSAGES_HANDLED = Counter("simpul_messages_handled", "Messages by outcome", ["type", "outcome"], registry=REGISTRY)
MESSAGES_PARKED = Counter("simpul_messages_parked", "Messages set aside", ["reason"], registry=REGISTRY)
BATCH_SIZE = Histogram(
    "simpul_batch_size", "Items handled in one transaction", ["batch"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200), registry=REGISTRY,
)  # fmt: skip
EVENTS_PUBLISHED = Counter("simpul_events_published", "Confirmed publishes", registry=REGISTRY)
EVENTS_REFUSED = Counter("simpul_events_refused", "Publishes without a confirm, by cause", ["cause"], registry=REGISTRY)
OUTBOX_PENDING = Gauge("simpul_outbox_pending", "Events not yet confirmed by the broker", registry=REGISTRY)
OUTBOX_OLDEST = Gauge("simpul_outbox_oldest_seconds", "Age of the oldest of them", registry=REGISTRY)
INBOX_UNFINISHED = Gauge(
    "simpul_inbox_unfinished", "Messages waiting for a predecessor or a retry", ["state"], registry=REGISTRY
)
HELD_EVENTS = Gauge(
    "simpul_held_events", "Events that wait until this party has a usable key", ["party"], registry=REGISTRY
)
HELD_OLDEST = Gauge("simpul_held_oldest_seconds", "Age of the oldest of them", ["party"], registry=REGISTRY)
KEY_EXPIRY = Gauge(
    "simpul_key_expiry_timestamp_seconds", "When the last usable key of a party ends; 0 when it has none", ["party"],
    registry=REGISTRY,
)  # fmt: skip
REQUESTS_FAILED = Counter("simpul_requests_failed", "Requests answered with 503, by cause", ["code"], registry=REGISTRY)

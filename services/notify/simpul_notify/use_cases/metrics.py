"""Metrics of alerts; label values are codes of closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge

from simpul_runtime.metrics import REGISTRY

ALERTS_WAITING: Final = Gauge("simpul_alerts_waiting", "Pending alerts", ["channel"], registry=REGISTRY)
ALERTS_OLDEST: Final = Gauge(
    "simpul_alerts_oldest_seconds", "Age of the oldest pending alert", ["channel"], registry=REGISTRY
)
ALERTS_SENT: Final = Counter("simpul_alerts_sent", "Alerts accepted by a provider", ["channel"], registry=REGISTRY)
ALERTS_FAILED: Final = Counter(
    "simpul_alerts_failed", "Failed alerts, by reason", ["channel", "reason"], registry=REGISTRY
)
ALERTS_SUPPRESSED: Final = Counter(
    "simpul_alerts_suppressed", "Unnecessary alerts, by reason", ["reason"], registry=REGISTRY
)

"""What an operator watches of the alerts; labels are codes of closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge

from simpul_runtime.metrics import REGISTRY

ALERTS_WAITING: Final = Gauge("simpul_alerts_waiting", "Alerts not handed over yet", ["channel"], registry=REGISTRY)
ALERTS_OLDEST: Final = Gauge(
    "simpul_alerts_oldest_seconds", "Age of the oldest alert not handed over yet", ["channel"], registry=REGISTRY
)
ALERTS_SENT: Final = Counter("simpul_alerts_sent", "Alerts that a provider took", ["channel"], registry=REGISTRY)
ALERTS_FAILED: Final = Counter(
    "simpul_alerts_failed", "Alerts that reach nobody, by reason", ["channel", "reason"], registry=REGISTRY
)
ALERTS_SUPPRESSED: Final = Counter(
    "simpul_alerts_suppressed", "Alerts that nobody needed any more, by reason", ["reason"], registry=REGISTRY
)

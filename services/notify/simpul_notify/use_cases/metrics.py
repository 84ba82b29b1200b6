"""Metrics of alerts; label values are codes of closed sets."""

from typing import Final

from prometheus_client import Counter, Gauge

from simpul_runtime.metrics import REGISTRY

ALERTS_WAITING: Final = Gauge("simpul_alerts_waiting", "Pending alerts", ["channel"], registry=REGISTRY)
ALERTS_OLDEST: Final = Gauge(
    "simpul_alerts_oldest_seconds", "Age of the oldest pending alert", ["channel"], registry=REGISTRY
)
ALERTS_SENT: Final = Counter("simpul_alerts_sent", "Alerts accepted by a provider", ["channel"], registry=REGISTRY)
MESSAGES_SENT: Final = Counter(
    "simpul_messages_sent",
    "Messages accepted by a provider; one carries several alerts",
    ["channel"],
    registry=REGISTRY,
)
ALERTS_FAILED: Final = Counter(
    "simpul_alerts_failed", "Failed alerts, by reason", ["channel", "reason"], registry=REGISTRY
)
ALERTS_SUPPRESSED: Final = Counter(
    "simpul_alerts_suppressed", "Unnecessary alerts, by reason", ["reason"], registry=REGISTRY
)
ESCALATION_STEPS: Final = Counter(
    "simpul_escalation_steps",
    "Steps of escalations: another person or method alerted, or nobody left",
    ["result"],
    registry=REGISTRY,
)
ALERTS_EXHAUSTED: Final = Counter(
    "simpul_alerts_exhausted",
    "Alerts that nobody acknowledged although everybody was alerted",
    ["urgency"],
    registry=REGISTRY,
)
ESCALATIONS_LATE: Final = Gauge(
    "simpul_escalations_late", "Alerts whose next step should have been taken", registry=REGISTRY
)
ESCALATIONS_UNALERTED: Final = Gauge(
    "simpul_escalations_unalerted", "Alerts that should have alerted a person and have not", registry=REGISTRY
)
ARRIVAL_SECONDS: Final = Gauge(
    "simpul_message_arrival_seconds",
    "Median time of the last hour until a phone reported the arrival of a message",
    ["provider"],
    registry=REGISTRY,
)
ANSWER_SECONDS: Final = Gauge(
    "simpul_message_answer_seconds",
    "Median time of the last hour until a person acknowledged a message",
    ["provider"],
    registry=REGISTRY,
)
REACH_UNCONFIRMED: Final = Gauge(
    "simpul_reach_unconfirmed",
    "Numbers and addresses by which nobody has confirmed the last weekly test",
    registry=REGISTRY,
)
PROVIDER_ATTEMPTS: Final = Counter(
    "simpul_provider_attempts",
    "Messages handed to a provider, by outcome and problem",
    ["provider", "outcome", "problem"],
    registry=REGISTRY,
)
PROVIDER_SET_ASIDE: Final = Gauge(
    "simpul_provider_set_aside",
    "1 while another provider is used first, because this one fails or reports late",
    ["provider"],
    registry=REGISTRY,
)
MESSAGES_REPORTED: Final = Counter(
    "simpul_messages_reported",
    "Reports of providers about messages, by state",
    ["provider", "state"],
    registry=REGISTRY,
)
ANSWERS: Final = Counter("simpul_alert_answers", "Answers of responders", ["answer", "way"], registry=REGISTRY)

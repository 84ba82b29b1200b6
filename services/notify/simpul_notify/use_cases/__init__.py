"""Use cases of notify: record alerts, suppress unnecessary ones, send the others."""

from simpul_notify.use_cases.end_alerts import EndAlerts
from simpul_notify.use_cases.record_alerts import RecordAlerts
from simpul_notify.use_cases.send_alerts import LEASE, SendAlerts

__all__ = ["LEASE", "EndAlerts", "RecordAlerts", "SendAlerts"]

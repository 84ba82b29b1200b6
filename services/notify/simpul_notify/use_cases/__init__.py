"""Use cases of notify: record alerts, escalate and suppress them, send the others, record what came of them, forget."""

from simpul_notify.use_cases.audit_alerts import AuditAlerts
from simpul_notify.use_cases.change_rosters import ChangeRosters
from simpul_notify.use_cases.check_reach import CheckReach
from simpul_notify.use_cases.delete_expired import DeleteExpired
from simpul_notify.use_cases.dispatch import Dispatch
from simpul_notify.use_cases.end_alerts import EndAlerts
from simpul_notify.use_cases.escalate_alerts import EscalateAlerts
from simpul_notify.use_cases.play_drill import PlayDrill
from simpul_notify.use_cases.poll_providers import PollProviders
from simpul_notify.use_cases.record_alerts import RecordAlerts
from simpul_notify.use_cases.record_answers import RecordAnswers
from simpul_notify.use_cases.record_reports import RecordReports
from simpul_notify.use_cases.schedule import Schedule
from simpul_notify.use_cases.send_alerts import SendAlerts

__all__ = [
    "AuditAlerts",
    "ChangeRosters",
    "CheckReach",
    "DeleteExpired",
    "Dispatch",
    "EndAlerts",
    "EscalateAlerts",
    "PlayDrill",
    "PollProviders",
    "RecordAlerts",
    "RecordAnswers",
    "RecordReports",
    "Schedule",
    "SendAlerts",
]

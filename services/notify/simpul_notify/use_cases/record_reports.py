"""Records what providers report about messages, in whatever order the reports come."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from simpul_notify.domain.deliveries import DeliveryReport, DeliveryState
from simpul_notify.repository import deliveries
from simpul_notify.use_cases.metrics import MESSAGES_REPORTED
from simpul_notify.use_cases.send_alerts import SendAlerts
from simpul_runtime.transaction import Transactions

REPORT_MAX_AGE: Final = timedelta(days=14)
"""Networks try for some days; later reports change nothing."""


class RecordReports:
    """Merges delivery reports, and alerts by another way what no provider could deliver."""

    def __init__(self, transactions: Transactions, send_alerts: SendAlerts) -> None:
        self._transactions = transactions
        self._send_alerts = send_alerts

    async def record_by_token(self, token: str, provider: str, state: DeliveryState) -> bool:
        """Records a report about the message with a token; returns False for an unknown or expired one."""
        async with self._transactions.begin() as transaction:
            notification_id = await deliveries.find_reported_notification(transaction, token, REPORT_MAX_AGE)
            if notification_id is None:
                return False
            report = DeliveryReport(notification_id, provider, state)
            await deliveries.record_reports(transaction, [report])
            if state.has_failed:
                await self._send_alerts.fail_undelivered(transaction, [notification_id])
        _count([report])
        return True

    async def record_polled(self, reports: Sequence[DeliveryReport]) -> None:
        """Records the reports that a provider kept."""
        if not reports:
            return
        async with self._transactions.begin() as transaction:
            await deliveries.record_reports(transaction, reports)
            failed = sorted({report.notification_id for report in reports if report.state.has_failed})
            await self._send_alerts.fail_undelivered(transaction, failed)
        _count(reports)


def _count(reports: Sequence[DeliveryReport]) -> None:
    for report in reports:
        MESSAGES_REPORTED.labels(report.provider, report.state.name.lower()).inc()

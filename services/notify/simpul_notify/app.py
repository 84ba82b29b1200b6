"""The composition root of notify."""

from datetime import timedelta

from fastapi import FastAPI

from simpul_notify.channels import Channel, KannelSms, SmtpMail
from simpul_notify.consumers import alert_handlers
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_notify.settings import NotifySettings
from simpul_notify.texts import AlertTexts
from simpul_notify.use_cases import EndAlerts, RecordAlerts, SendAlerts
from simpul_runtime.command_line import read_settings
from simpul_runtime.service import Service
from simpul_runtime.web import shell_for
from simpul_schema.vocabulary import AlertChannel


def build(settings: NotifySettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    service = Service("notify", settings)
    levels = read_escalation_levels(settings.city_dir / "agreement")
    roster = read_roster(settings.city_dir / "roster.yaml", service.city, levels)
    texts = AlertTexts.read(settings.city_dir / "messages.yaml", service.city)
    send_alerts = SendAlerts(
        service.transactions, roster, texts, _channels(settings), timedelta(seconds=settings.first_retry_delay),
        settings.provider_concurrency,
    )  # fmt: skip
    service.run_beside(send_alerts.run)
    service.report_troubles(send_alerts.readiness_problems)
    record_alerts = RecordAlerts(roster, send_alerts.schedule_send)
    service.consume(alert_handlers(record_alerts, EndAlerts(levels)), send_alerts.wait_for_capacity)
    return service, shell_for(
        service, title="Simpul notify", description="Alerts the responders on duty by SMS and e-mail."
    )


def _channels(settings: NotifySettings) -> dict[AlertChannel, Channel]:
    return {
        AlertChannel.SMS: KannelSms(
            settings.kannel_url,
            settings.kannel_user,
            settings.kannel_password.get_secret_value(),
            settings.sms_sender,
            settings.provider_timeout,
        ),
        AlertChannel.MAIL: SmtpMail(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_user,
            settings.smtp_password.get_secret_value(),
            settings.mail_from,
            settings.smtp_ca_file,
            settings.provider_timeout,
        ),
    }


def main() -> None:
    """Serves until the process is stopped."""
    service, web = build(read_settings("notify", NotifySettings))
    service.serve(web)

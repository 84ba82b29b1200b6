"""The composition root of notify."""

from datetime import timedelta

from fastapi import FastAPI

from simpul_city import City, CityInvalid
from simpul_notify.api import add_gateway_routes
from simpul_notify.channels import load_providers
from simpul_notify.consumers import alert_handlers
from simpul_notify.domain.alerts import pause_after_urgent
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.responders import Roster
from simpul_notify.errors import NeverContactInvalid, ProviderInvalid, RosterInvalid, TextInvalid
from simpul_notify.heartbeat import Heartbeat
from simpul_notify.never_contact import FILE_NAME, WatchedNeverContact
from simpul_notify.pages import add_pages
from simpul_notify.reach_api import add_reach_routes
from simpul_notify.roster import WatchedRoster, read_escalation_levels
from simpul_notify.roster_api import RosterPages, add_roster_routes
from simpul_notify.settings import NotifySettings
from simpul_notify.texts import AlertTexts
from simpul_notify.use_cases import (
    AuditAlerts,
    ChangeRosters,
    CheckReach,
    DeleteExpired,
    Dispatch,
    EndAlerts,
    EscalateAlerts,
    PollProviders,
    RecordAlerts,
    RecordAnswers,
    RecordReports,
    Schedule,
    SendAlerts,
)
from simpul_runtime.service import Service, start_service
from simpul_runtime.web import create_web_app


def build(settings: NotifySettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    city = City.read(settings.city_dir)
    service = Service("notify", settings, city_code=city.code, agency_codes=city.agency_codes)
    levels = read_escalation_levels(settings.city_dir / "agreement")
    roster = WatchedRoster(settings.city_dir / "roster.yaml", city, levels)
    service.add_background_task(roster.watch)
    service.add_warnings(roster.find_warnings)
    service.add_start_check(roster.find_start_problems)
    change_rosters = ChangeRosters(service.transactions, roster, city)
    service.add_start_check(change_rosters.read_again)
    service.add_background_task(change_rosters.run)
    texts = AlertTexts.read(settings.city_dir / "messages.yaml", city, settings.public_url)
    never_contact = WatchedNeverContact(settings.city_dir / FILE_NAME)
    service.add_background_task(never_contact.watch)
    service.add_warnings(never_contact.find_warnings)
    providers = load_providers([name.strip() for name in settings.providers.split(",") if name.strip()])
    dispatch = Dispatch(
        providers,
        lambda: ContactRules(
            city.zone, never_contact.current, settings.messages_per_hour, settings.urgent_messages_per_hour
        ),
        timedelta(seconds=settings.provider_timeout),
        report_url=settings.report_url,
    )
    service.add_warnings(dispatch.find_problems)
    service.add_warnings(lambda: _find_unserved_channels(roster.current, dispatch))
    bundle_period = timedelta(seconds=settings.bundle_period)
    send_alerts = SendAlerts(
        service.transactions,
        lambda: roster.current,
        texts,
        dispatch,
        timedelta(seconds=settings.first_retry_delay),
        pause_after_urgent(bundle_period),
    )
    service.add_background_task(send_alerts.run)
    service.add_readiness_check(send_alerts.readiness_problems)
    schedule = Schedule(lambda: roster.current, bundle_period, send_alerts.wake)
    escalate_alerts = EscalateAlerts(service.transactions, lambda: roster.current, schedule)
    service.add_background_task(escalate_alerts.run)
    service.add_background_task(escalate_alerts.run_repeats)
    audit_alerts = AuditAlerts(service.transactions, Heartbeat(settings.heartbeat_url.get_secret_value()).send)
    service.add_background_task(audit_alerts.run)
    service.add_warnings(audit_alerts.find_warnings)
    if settings.reach_check is not None:
        check_reach = CheckReach(
            service.transactions, lambda: roster.current, dispatch, settings.public_url, settings.reach_check, city.zone
        )
        service.add_background_task(check_reach.run)
        service.add_warnings(check_reach.find_warnings)
    kept_for = timedelta(days=settings.messages_kept_days)
    service.add_background_task(DeleteExpired(service.transactions, kept_for).run)
    record_alerts = RecordAlerts(lambda: roster.current, schedule, escalate_alerts, levels)
    service.consume_events(alert_handlers(record_alerts, EndAlerts(levels, schedule)))
    web = create_web_app(
        service,
        title="Simpul notify",
        description="Alerts the responders on duty by SMS and e-mail.",
        emergency_numbers=city.emergency_numbers,
    )
    record_reports = RecordReports(service.transactions, send_alerts)
    record_answers = RecordAnswers(service.transactions, lambda: roster.current, send_alerts.wake)
    service.add_background_task(PollProviders(providers, record_reports, record_answers).run)
    add_gateway_routes(web, providers, record_reports, record_answers)
    add_pages(web, record_answers)
    add_reach_routes(web, service.engine, service.keys, city, levels)
    add_roster_routes(web, RosterPages(roster, change_rosters, service.keys, city, levels))
    return service, web


def _find_unserved_channels(roster: Roster, dispatch: Dispatch) -> list[str]:
    used = {channel for channels in roster.channels.values() for channel in channels}
    return [
        f"roster: {channel.value} is used, but no provider of SIMPUL_PROVIDERS carries it"
        for channel in sorted(used - set(dispatch.channels))
    ]


def serve(settings: NotifySettings) -> None:
    """Serves until the process is stopped."""
    start_service(
        lambda: build(settings), CityInvalid, RosterInvalid, TextInvalid, ProviderInvalid, NeverContactInvalid
    )

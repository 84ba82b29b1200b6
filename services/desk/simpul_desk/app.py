"""The composition root of the desk."""

from functools import partial

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from simpul_agreement import Versions
from simpul_city import City, CityInvalid
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.emergency_access import EmergencyAccesses
from simpul_desk.access.members import Members
from simpul_desk.access.passkeys import Passkeys
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.provider import Provider, ProviderSettings
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.transactions import Transactions
from simpul_desk.account_pages import Access, add_access
from simpul_desk.account_pages.emergency import EmergencyPages, add_emergency_pages
from simpul_desk.assets import add_assets, asset_url
from simpul_desk.audit_pages import add_audit_pages
from simpul_desk.city_pages.agreements import AgreementPages, add_agreement_pages
from simpul_desk.city_pages.consents import add_consent_pages
from simpul_desk.city_pages.indicators import add_indicators
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.reach import add_reach_pages, find_active_agreement
from simpul_desk.city_pages.register import add_register
from simpul_desk.city_pages.register_columns import read_columns
from simpul_desk.city_pages.routes import add_city_pages
from simpul_desk.city_pages.texts import SERVICE_STATES
from simpul_desk.consumers import announcing, board_handlers
from simpul_desk.doctor_page import add_doctor_page
from simpul_desk.form_addresses import add_form_addresses
from simpul_desk.guide.questions import read_guide
from simpul_desk.guide.routes import GuidePages, add_guide
from simpul_desk.hosting.agencies import HostedAgencies, Surroundings
from simpul_desk.hosting.neighbour import ProcessSocket
from simpul_desk.live import LiveChannels
from simpul_desk.paper_page import add_paper_page
from simpul_desk.question_page import QuestionPage, add_question_page
from simpul_desk.report_pages import REPORT_LIMITS, ReportPages, add_report_pages
from simpul_desk.service_api import IntakeApi, NotifyApi, RoutingApi
from simpul_desk.settings import DeskSettings
from simpul_desk.start_page import add_start_page
from simpul_desk.team_pages.capacity import CapacityPages, add_capacity_pages
from simpul_desk.team_pages.roster import RosterPages, add_roster_pages
from simpul_desk.work_pages.pages import DOCUMENTS, WorkPages
from simpul_desk.work_pages.record_forms import DOCUMENT_LIMITS
from simpul_desk.work_pages.routes import add_work_pages
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service, start_service
from simpul_runtime.signals import DatabaseSignals
from simpul_runtime.web import create_web_app


def build(settings: DeskSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    city = City.read(settings.city_dir)
    service = Service("desk", settings, city_code=city.code, agency_codes=city.agency_codes)
    live = LiveChannels()
    service.add_background_task(live.run)
    signals = DatabaseSignals(service.engine, "desk_live", live.receive)
    live.forward = signals.send
    service.add_background_task(signals.run)
    service.consume_events(announcing(board_handlers(), live))
    web = create_web_app(
        service,
        title="Simpul desk",
        description="Pages for the people of agencies, built from public events.",
        emergency_numbers=city.emergency_numbers,
        limits={DOCUMENTS: DOCUMENT_LIMITS, **REPORT_LIMITS},
        page_script=asset_url("history.js"),
    )
    # Pages repeat nothing that another site could choose, so that compressing them reveals no token (BREACH).
    web.add_middleware(GZipMiddleware, minimum_size=1_000)
    routing = RoutingApi(settings.routing_url, service.keys)
    service.add_background_task(routing.run)
    web.state.routing = routing
    notify = NotifyApi(settings.notify_url, service.keys)
    service.add_background_task(notify.run)
    intake = IntakeApi(settings.intake_url, service.keys)
    service.add_background_task(intake.run)
    transactions, passwords = Transactions(service.engine, live.recheck), Passwords()
    accounts = Accounts(transactions, passwords)
    sign_in = SignIn(transactions, service.keys, passwords)
    members, passkeys = Members(transactions, accounts, city.agency_codes), Passkeys(transactions, accounts, sign_in)
    add_access(web, Access(sign_in, accounts, members, passkeys, find_provider(settings)), city)
    add_assets(web, service)
    versions = Versions(settings.city_dir / "agreement", city, service.keys.directory)
    versions.read(utc_now())
    service.add_background_task(versions.watch_for_versions)
    hosted = HostedAgencies(
        settings.hosted_dir,
        Surroundings(
            service.engine, versions, city.zone, live, settings.directory_file, settings.intake_url, ProcessSocket(web)
        ),
    )
    service.add_background_task(hosted.run)
    service.add_warnings(hosted.find_problems)
    guide = read_guide(settings.city_dir)
    add_work_pages(web, WorkPages(service, city, hosted, live, routing, has_guide=guide is not None))
    add_question_page(web, QuestionPage(city, routing))
    add_guide(web, GuidePages(guide, city, versions))
    add_report_pages(web, ReportPages(service.engine, city, intake, service.keys))
    add_agreement_pages(web, AgreementPages(versions, city))
    city_pages = CityPages(service, city, live, routing)
    add_register(web, city_pages, read_columns(settings.city_dir))
    add_indicators(web, city_pages)
    add_consent_pages(web, city_pages)
    add_reach_pages(web, city_pages, notify, partial(find_active_agreement, versions))
    add_city_pages(web, city_pages)
    add_roster_pages(web, RosterPages(city, notify, partial(find_active_agreement, versions)))
    add_capacity_pages(web, CapacityPages(city, routing))
    add_emergency_pages(
        web, EmergencyPages(EmergencyAccesses(transactions, service.keys), routing, city, SERVICE_STATES)
    )
    add_audit_pages(web, service.engine, city)
    add_doctor_page(web, service.engine, city)
    add_paper_page(web, service, city)
    add_start_page(web, hosted.codes)
    add_form_addresses(web)
    return service, web


def find_provider(settings: DeskSettings) -> Provider | None:
    """Returns the city's OpenID Connect provider; None without one."""
    if not settings.oidc_issuer:
        return None
    return Provider(
        ProviderSettings(
            settings.oidc_issuer,
            settings.oidc_name,
            settings.oidc_client_id,
            settings.oidc_client_secret.get_secret_value(),
        )
    )


def serve(settings: DeskSettings) -> None:
    """Serves until the process is stopped."""
    start_service(lambda: build(settings), CityInvalid)

"""The composition root of routing."""

from datetime import timedelta

from fastapi import FastAPI

from simpul_agreement import AgreementMissing, Versions
from simpul_city import City, CityInvalid
from simpul_routing.api import add_api
from simpul_routing.consent_texts import ConsentTexts
from simpul_routing.consumers import handlers
from simpul_routing.operator_tokens import EnrolledTokens
from simpul_routing.repository import CaseFiles
from simpul_routing.settings import RoutingSettings
from simpul_routing.use_cases import (
    AgencyQuestions,
    AmendCases,
    CaseChanges,
    CaseNotes,
    ConfirmPlans,
    DecideEarlierDisclosures,
    DismissOverlaps,
    EndCases,
    ForwardDossiers,
    JudgeReplies,
    PublishManifests,
    ReferCases,
    SeeCases,
    StateCapacities,
    SweepClocks,
    TransferCases,
    TriageCases,
)
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service, start_service
from simpul_runtime.shell import Limits
from simpul_runtime.unrouted import UnroutedWatch
from simpul_runtime.web import create_web_app


def build(settings: RoutingSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    city = City.read(settings.city_dir)
    service = Service("routing", settings, city_code=city.code, agency_codes=city.agency_codes)
    consent_texts = ConsentTexts.read(settings.city_dir / "consent_texts")
    versions = Versions(settings.city_dir / "agreement", city, service.keys.directory)
    versions.read(utc_now())
    # Without an active agreement no case can be decided, so the service must not start and take reports.
    versions.active(utc_now())
    service.add_background_task(versions.watch_for_versions)
    service.add_warnings(lambda: versions.find_warnings(utc_now()))
    unrouted = UnroutedWatch(BrokerAddresses(settings.amqp_url.get_secret_value()))
    service.add_background_task(unrouted.run)
    service.add_warnings(unrouted.find_warnings)
    files = CaseFiles(versions, city, service.keys)
    service.add_background_task(SweepClocks(service.transactions, files).run)
    service.add_background_task(DecideEarlierDisclosures(service.transactions, files).run)
    case_notes = CaseNotes(service.transactions, files, service.keys)
    see_cases = SeeCases(files, service.keys)
    agency_questions = AgencyQuestions(service.transactions, files, service.keys, see_cases)
    state_capacities = StateCapacities(service.transactions, files)
    publish_manifests = PublishManifests(
        service.transactions, city, service.keys, timedelta(seconds=settings.manifest_interval)
    )
    service.add_background_task(publish_manifests.run)
    service.enable_agency_delivery(publish_manifests.find_withheld)
    service.consume_events(
        handlers(
            service.keys,
            ReferCases(files),
            AmendCases(files),
            JudgeReplies(files),
            publish_manifests,
            ForwardDossiers(publish_manifests.find_closed_cases),
            case_notes,
            agency_questions,
            state_capacities,
        )
    )
    web = create_web_app(
        service,
        title="Simpul routing",
        description="Decides referrals and tracks them until they end.",
        # The indicators of many months may take as long as a database statement may run.
        limits={"/indicators": Limits(seconds=30)},
        emergency_numbers=city.emergency_numbers,
    )
    changes = CaseChanges(service.transactions, files)
    dismiss_overlaps = DismissOverlaps(service.transactions, service.keys, see_cases)
    tokens = EnrolledTokens(settings.tokens_file)
    add_api(
        web,
        service,
        city,
        versions,
        TriageCases(changes),
        EndCases(changes),
        ConfirmPlans(changes),
        TransferCases(changes),
        dismiss_overlaps,
        see_cases,
        tokens,
        consent_texts,
        case_notes,
        agency_questions,
        state_capacities,
    )
    return service, web


def serve(settings: RoutingSettings) -> None:
    """Runs the service until it is stopped."""
    start_service(lambda: build(settings), AgreementMissing, CityInvalid)

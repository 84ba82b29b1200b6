"""The composition root of routing."""

from datetime import timedelta

from fastapi import FastAPI

from simpul_agreement import AgreementMissing, Versions
from simpul_routing.api import add_api
from simpul_routing.consumers import handlers
from simpul_routing.settings import RoutingSettings
from simpul_routing.use_cases import (
    DecideExclusions,
    EndCases,
    JudgeReplies,
    PublishManifests,
    ReferCases,
    ReplanCases,
    SweepClocks,
    TriageCases,
    WithdrawConsent,
)
from simpul_runtime.command_line import read_settings
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_runtime.shell import Limits
from simpul_runtime.web import shell_for


def build(settings: RoutingSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    service = Service("routing", settings)
    versions = Versions(settings.city_dir / "agreement", service.city, service.keys.directory)
    versions.read(utc_now())
    # Without an active agreement no case can be decided, so the service must not start and take reports.
    versions.active(utc_now())
    service.run_beside(versions.watch_for_versions)
    service.run_beside(SweepClocks(service.transactions, versions, service.city, service.keys).run)
    replan_cases = ReplanCases(versions, service.city, service.keys)
    withdraw_consent = WithdrawConsent(service.transactions, versions, service.city, service.keys)
    publish_manifests = PublishManifests(
        service.transactions, service.city, service.keys, timedelta(seconds=settings.manifest_interval)
    )
    service.run_beside(publish_manifests.run)
    service.send_to_agencies(publish_manifests.find_withheld)
    service.consume(
        handlers(
            service.keys,
            ReferCases(versions, service.city, service.keys),
            replan_cases,
            JudgeReplies(versions, service.keys, replan_cases),
            publish_manifests,
            withdraw_consent,
        )
    )
    web = shell_for(
        service, title="Simpul routing", description="Decides referrals and tracks them until they end.",
        # The indicators of many months may take as long as a database statement may run.
        limits={"/indicators": Limits(seconds=30)},
    )  # fmt: skip
    add_api(
        web,
        service,
        TriageCases(service.transactions, replan_cases, versions, service.city, service.keys),
        EndCases(service.transactions, replan_cases, service.keys),
        withdraw_consent,
        DecideExclusions(service.transactions, replan_cases, versions, service.keys),
        settings.api_token,
    )
    return service, web


def main() -> None:
    """Runs the service until it is stopped."""
    try:
        service, web = build(read_settings("routing", RoutingSettings))
    except AgreementMissing as error:
        raise SystemExit(str(error)) from error
    service.serve(web)

"""The composition root of intake."""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI

from simpul_agreement import AgreementMissing, Versions
from simpul_city import City, CityInvalid
from simpul_intake.api import add_api
from simpul_intake.api.authentication import CentreAuthentication
from simpul_intake.centre_tokens import CentreTokens
from simpul_intake.consumers import handlers
from simpul_intake.pages import FILES_LIMITS, FILES_PATH, FORM_LIMITS, FORM_PATH, add_follow_pages, add_pages
from simpul_intake.receipt_lock import ReceiptLock
from simpul_intake.settings import IntakeSettings
from simpul_intake.use_cases import (
    AmendReports,
    AnnounceErasures,
    CheckReceipts,
    ExecuteRetention,
    FindAccusations,
    FindDueCases,
    FollowReports,
    KeepFiles,
    KeepNotes,
    KeepQuestions,
    LimitReports,
    ReleaseDossiers,
    ReplaceReceipts,
    RewrapKeys,
    SearchDuplicates,
    SuspectOverlaps,
    TakeReports,
    VaultSecrets,
    WatchBreaches,
)
from simpul_intake.vault import KeyFile, KeyWrapper, MasterKeyFileInvalid, TransitKeys, TransitServer, Vault
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service, start_service
from simpul_runtime.web import create_web_app


def build(settings: IntakeSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    city = City.read(settings.city_dir)
    service = Service("intake", settings, city_code=city.code, agency_codes=city.agency_codes)
    key_file = KeyFile(settings.vault_key_file) if settings.vault_key_file else None
    vault = _build_vault(settings, key_file)
    secrets = VaultSecrets(service.engine, vault, key_file)
    rewrap_keys = RewrapKeys(service.engine, vault, secrets)
    service.add_background_task(rewrap_keys.run)
    service.add_readiness_check(rewrap_keys.problems)
    service.add_start_check(rewrap_keys.find_missing_keys)
    overlaps = SuspectOverlaps(service.transactions, vault, secrets, city)
    service.add_background_task(overlaps.run)
    take_reports = TakeReports(service.transactions, vault, secrets, city, overlaps)
    service.add_background_task(take_reports.run)
    list_parts = partial(_list_parts, _add_periods(service, settings, city, vault))
    release_dossiers = ReleaseDossiers(service.transactions, vault, secrets, service.keys, list_parts)
    service.add_background_task(release_dossiers.run)
    service.add_warnings(release_dossiers.find_warnings)
    questions = KeepQuestions(vault, service.keys)
    notes = KeepNotes(vault, service.keys, release_dossiers.request_release)
    accusations = FindAccusations(vault, service.keys, list_parts)
    receipts = CheckReceipts(accusations)
    service.consume_events(handlers(release_dossiers, questions, notes, accusations), in_order=False)
    web = create_web_app(
        service,
        title="Simpul intake",
        description="Takes reports of violence against children. A report that "
        "was answered with 202 is stored and becomes referrals automatically.",
        limits={FORM_PATH: FORM_LIMITS, FILES_PATH: FILES_LIMITS},
        emergency_numbers=city.emergency_numbers,
    )
    tokens = CentreTokens(settings.centre_tokens_file, city.agency_codes)
    authentication = CentreAuthentication(tokens, service.keys.directory, city.agency_codes)
    amend_reports = AmendReports(
        service.transactions, vault, secrets, city, receipts, overlaps, questions, release_dossiers.request_release
    )
    search_duplicates = SearchDuplicates(
        service.transactions, overlaps, city, settings.duplicate_searches_per_day, list_parts
    )
    follow_reports = FollowReports(service.transactions, secrets, receipts, questions, accusations)
    receipt_lock = ReceiptLock()
    files = KeepFiles(
        service.transactions, vault, secrets, service.keys, receipts, accusations, release_dossiers.request_release
    )
    replace_receipts = ReplaceReceipts(service.transactions, secrets)
    limit_reports = LimitReports(
        service.engine, secrets, per_address=settings.reports_per_address, per_centre=settings.reports_per_centre
    )
    service.add_background_task(limit_reports.run)
    service.add_background_task(limit_reports.delete_expired)
    service.add_warnings(limit_reports.find_warnings)
    add_api(
        web,
        take_reports,
        limit_reports,
        amend_reports,
        search_duplicates,
        follow_reports,
        replace_receipts,
        files,
        receipt_lock,
        city,
        authentication,
    )
    add_pages(web, take_reports, limit_reports, city)
    add_follow_pages(web, follow_reports, amend_reports, files, receipt_lock, city)
    return service, web


def _list_parts(versions: Versions, agency: str) -> Sequence[str]:
    """Lists an agency and those that it is part of, by the active agreement."""
    try:
        return versions.active(utc_now()).agreement.parts_of(agency)
    except AgreementMissing:
        return (agency,)


def _add_periods(service: Service, settings: IntakeSettings, city: City, vault: Vault) -> Versions:
    """Erases what the active agreement no longer keeps, and watches the deadlines of breaches.

    Without an active agreement reports are taken and nothing is erased. Returns the versions of the agreement.
    """
    versions = Versions(settings.city_dir / "agreement", city, service.keys.directory)
    versions.read(utc_now())
    service.add_background_task(versions.watch_for_versions)
    due = FindDueCases(service.engine, lambda now: versions.active(now).agreement)
    service.add_background_task(ExecuteRetention(service.engine, vault, due).run)
    service.add_background_task(AnnounceErasures(service.transactions).run)
    service.add_background_task(WatchBreaches(service.transactions).run)
    return versions


def _build_vault(settings: IntakeSettings, key_file: KeyFile | None) -> Vault:
    wrappers: list[KeyWrapper] = [key_file] if key_file else []
    if settings.vault_transit_url and settings.vault_transit_token_file:
        server = TransitServer(
            settings.vault_transit_url,
            settings.vault_transit_token_file,
            settings.vault_transit_key,
            settings.vault_transit_mount,
            settings.vault_transit_ca_file,
        )
        # The key service wraps; the file only opens what has not been re-wrapped yet.
        wrappers.insert(0, TransitKeys(server))
    return Vault(*wrappers)


def serve(settings: IntakeSettings) -> None:
    """Serves until the process is stopped."""
    start_service(lambda: build(settings), MasterKeyFileInvalid, CityInvalid)

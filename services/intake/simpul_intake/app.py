"""The composition root of intake."""

from fastapi import FastAPI

from simpul_intake.api import add_api
from simpul_intake.centre_tokens import CentreTokens
from simpul_intake.pages import FORM_LIMITS, FORM_PATH, add_pages
from simpul_intake.settings import IntakeSettings
from simpul_intake.use_cases import AmendReports, TakeReports
from simpul_intake.vault import Vault
from simpul_runtime.command_line import read_settings
from simpul_runtime.service import Service
from simpul_runtime.web import shell_for


def build(settings: IntakeSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    service = Service("intake", settings)
    vault = Vault.from_file(settings.vault_key_file)
    take_reports = TakeReports(service.transactions, vault, service.city)
    service.run_beside(take_reports.run)
    web = shell_for(
        service, title="Simpul intake", description="Takes reports of violence against children. A report that "
        "was answered with 202 is stored and becomes referrals automatically.", limits={FORM_PATH: FORM_LIMITS},
    )  # fmt: skip
    tokens = CentreTokens(settings.centre_tokens_file)
    add_api(web, take_reports, AmendReports(service.transactions, vault, service.city), service.city, tokens)
    add_pages(web, take_reports, service.city)
    return service, web


def main() -> None:
    """Serves until the process is stopped."""
    service, web = build(read_settings("intake", IntakeSettings))
    service.serve(web)

"""The HTTP API for the desk and for operators."""

from typing import Any

from fastapi import FastAPI, Security

from simpul_agreement import Versions
from simpul_city import City
from simpul_routing.api.actions import add_action_routes
from simpul_routing.api.agency_questions import add_agency_question_routes
from simpul_routing.api.authentication import ASSERTION, Authentication, document_roles
from simpul_routing.api.capacities import add_capacity_routes
from simpul_routing.api.case_lists import add_list_routes
from simpul_routing.api.codes import Codes
from simpul_routing.api.error_handlers import add_error_handlers
from simpul_routing.api.indicators import add_indicator_routes
from simpul_routing.api.notes import add_note_routes
from simpul_routing.api.operations import add_operation_routes
from simpul_routing.api.queries import add_query_routes
from simpul_routing.api.register import add_register_routes
from simpul_routing.api.service_plans import add_plan_routes
from simpul_routing.api.transfers import add_transfer_routes
from simpul_routing.consent_texts import ConsentTexts
from simpul_routing.operator_tokens import EnrolledTokens
from simpul_routing.use_cases import (
    AgencyQuestions,
    CaseNotes,
    ConfirmPlans,
    DismissOverlaps,
    EndCases,
    SeeCases,
    StateCapacities,
    TransferCases,
    TriageCases,
)
from simpul_runtime.service import Service

__all__ = ["add_api"]


def add_api(
    web: FastAPI,
    service: Service,
    city: City,
    versions: Versions,
    triage_cases: TriageCases,
    end_cases: EndCases,
    confirm_plans: ConfirmPlans,
    transfer_cases: TransferCases,
    dismiss_overlaps: DismissOverlaps,
    see_cases: SeeCases,
    tokens: EnrolledTokens,
    consent_texts: ConsentTexts,
    case_notes: CaseNotes,
    agency_questions: AgencyQuestions,
    state_capacities: StateCapacities,
) -> None:
    """Adds the routes; each requires an assertion of who acts and says which roles it permits."""
    authentication = Authentication(service.keys.directory, tokens)
    codes = Codes(service.engine)
    documented: dict[str, Any] = {"dependencies": [Security(ASSERTION)]}
    add_list_routes(web, service, city, see_cases, authentication, documented)
    add_query_routes(web, service, city, versions, see_cases, authentication, codes, consent_texts, documented)
    add_action_routes(web, triage_cases, end_cases, dismiss_overlaps, authentication, codes, consent_texts, documented)
    add_plan_routes(web, service, city, versions, confirm_plans, see_cases, authentication, codes, documented)
    add_note_routes(web, service, city, case_notes, see_cases, authentication, codes, documented)
    add_agency_question_routes(web, service, agency_questions, see_cases, authentication, codes, documented)
    add_transfer_routes(web, service, city, transfer_cases, see_cases, authentication, codes, documented)
    add_indicator_routes(web, service, city.zone, authentication, documented)
    add_register_routes(web, service, city, see_cases, authentication, documented)
    add_capacity_routes(web, service, city, state_capacities, authentication, documented)
    add_operation_routes(web, service, city, authentication, documented)
    add_error_handlers(web, {agency.code: agency.name for agency in city.agencies})
    document_roles(web)

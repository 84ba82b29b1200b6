"""Service plans by HTTP: the list of those that await a decision, a case's own, and how a person confirms it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simpul_agreement import Versions
from simpul_agreement.phrases import clause_sentence
from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.actions import ActionIn, Version, version_number
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.api.paging import Cursor, Limit, Without, decode_cursor, find_next
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.case import Case, compute_version
from simpul_routing.domain.service_plan import AddedService, PlanChanges, ServicePlan
from simpul_routing.errors import PlanUnknown
from simpul_routing.use_cases import ConfirmPlans, SeeCases
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service as RunningService
from simpul_schema.names import subject_of_case
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import Service

Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LeftOutIn(_Part):
    """A proposed service that the child does not get."""

    service: Service
    reason: Reason = Field(description="why; stored encrypted")


class ChosenAgencyIn(_Part):
    """Another agency that leads a proposed service."""

    service: Service
    agency: str = Field(max_length=60, description="code of the agency; the service must be in its mandate")


class AddedServiceIn(_Part):
    """A service that the plan does not propose."""

    service: Service
    agency: str = Field(max_length=60, description="code of the agency that leads it")
    reason: Reason = Field(default="", description="required to offer a service that the child has already")


class ConfirmationIn(ActionIn):
    """How to confirm the service plan; without changes it is confirmed as it is."""

    left_out: list[LeftOutIn] = Field(default_factory=list, max_length=30)
    agencies: list[ChosenAgencyIn] = Field(default_factory=list, max_length=30)
    added: list[AddedServiceIn] = Field(default_factory=list, max_length=30)

    def to_changes(self) -> PlanChanges:
        """The changes as the domain knows them."""
        return PlanChanges(
            {one.service: one.reason for one in self.left_out},
            {one.service: one.agency for one in self.agencies},
            [AddedService(one.service, one.agency, one.reason) for one in self.added],
        )


def add_plan_routes(
    web: FastAPI,
    service: RunningService,
    city: City,
    versions: Versions,
    confirm_plans: ConfirmPlans,
    see_cases: SeeCases,
    authentication: Authentication,
    codes: Codes,
    documented: dict[str, Any],
) -> None:
    """Adds the routes about service plans."""
    names = {agency.code: agency.name for agency in city.agencies}
    guarded: dict[str, Any] = {**documented, "tags": ["cases"]}
    permit, find_case = authentication.permit, Depends(codes.find_case)

    recorded = record_reads(service.engine)

    @web.get("/service-plans", summary="Service plans that await a decision, by deadline", **guarded)
    async def open_plans(
        by: Annotated[Actor, permit(ApiAction.LIST_PLANS)],
        after: Cursor = "",
        limit: Limit = 50,
        without: Without = None,
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.LIST_PLANS) as connection:
            scope = await see_cases.find_scope(connection, by, without or ())
            rows = await repository.list_open_plans(connection, decode_cursor(after), limit + 1, scope)
            total = await repository.count_open_plans(connection, scope)
        return {
            "plans": [_line_out(row, names) for row in rows[:limit]],
            "total": total,
            "next": find_next(rows, limit, "confirm_by", "referral_id"),
        }

    @web.get("/cases/{case_id}/service-plan", summary="The open service plan of a case, with its reasons", **guarded)
    async def service_plan(
        by: Annotated[Actor, permit(ApiAction.READ_PLAN)],
        case_id: Annotated[UUID, find_case],
        language: Literal["id", "en"] = "id",
    ) -> dict[str, Any]:
        async with recorded(by, ApiAction.READ_PLAN, subject_of_case(case_id)) as connection:
            case = await see_cases.find_case(connection, case_id, by)
            plan = await repository.find_open_plan(connection, service.keys, case_id)
            referrals = await repository.list_referrals(connection, case_id)
            today = utc_now().astimezone(city.zone).date()
            capacities = await repository.load_capacities(connection, today)
        if plan is None:
            raise PlanUnknown
        version = compute_version(case, (one["version"] for referral in referrals for one in referral.services))
        full = {one.service: capacities.find_full_agencies(one.service, today) for one in plan.services}
        return _plan_out(case, plan, full, versions, names, language) | {"version": version}

    @web.post(
        "/cases/{case_id}/service-plan/confirm",
        summary="Confirm the service plan, as it is or edited; its services are offered",
        status_code=204,
        **guarded,
    )
    async def confirm_plan(
        by: Annotated[Actor, permit(ApiAction.CONFIRM_PLAN)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ConfirmationIn,
    ) -> None:
        await confirm_plans.confirm_plan(case_id, version_number(version), body.to_changes(), by=by, reason=body.reason)


def _reference_out(referral_id: UUID, agency: str, confirm_by: datetime, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "referral_id": referral_id,
        "code": referral_code(referral_id),
        "agency": agency,
        "agency_name": names.get(agency, agency),
        "confirm_by": confirm_by,
    }


def _line_out(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "case_id": row["case_id"],
        "reference": case_reference(row["case_id"]),
        "urgency": row["urgency"],
        "proposed_at": row["started_at"],
        "is_sent_at_deadline": row["is_sent_at_deadline"],
        **_reference_out(row["referral_id"], row["agency"], row["confirm_by"], names),
    }


def _plan_out(
    case: Case,
    plan: ServicePlan,
    full: Mapping[Service, Collection[str]],
    versions: Versions,
    names: Mapping[str, str],
    language: str,
) -> dict[str, Any]:
    """An open plan with the sentences of the clauses that require each service, and whether its agency is full."""
    agreement = versions.of(case.agreement).agreement
    return {
        "case_id": plan.case_id,
        "reference": case_reference(plan.case_id),
        "proposed_at": plan.clock.started_at,
        "is_sent_at_deadline": plan.is_sent_at_deadline,
        **_reference_out(plan.referral_id, plan.agency, plan.clock.due_at, names),
        "services": [
            {
                "service": one.service,
                "right": agreement.right_of[one.service],
                "agency": one.agency,
                "agency_name": names.get(one.agency, one.agency),
                "role": one.role,
                "is_full": one.agency in full[one.service],
                "clauses": one.clauses,
                "reasons": [
                    clause_sentence(agreement.by_id[name], agreement, language)
                    for name in one.clauses
                    if name in agreement.by_id
                ],
            }
            for one in plan.services
        ],
    }

"""What agencies can take, and what they have, by HTTP."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from fastapi import FastAPI

from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.capacity import NEVER_PASSED_OVER, ServiceCapacity
from simpul_routing.use_cases import StateCapacities
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.messages.capacity import StatedCapacity
from simpul_schema.vocabulary import ActorRole, Right
from simpul_schema.vocabulary import Service as Need

_NOTHING: Final = {"max_open": None, "full_until": None, "stated_at": None}


def add_capacity_routes(
    web: FastAPI,
    service: Service,
    city: City,
    state_capacities: StateCapacities,
    authentication: Authentication,
    documented: dict[str, Any],
) -> None:
    """Adds the routes."""
    recorded = record_reads(service.engine)
    names = {agency.code: agency.name for agency in city.agencies}
    guarded: dict[str, Any] = {**documented, "tags": ["agencies"]}

    @web.get("/capacities", summary="The open cases of agencies by service, and how many they can take", **guarded)
    async def list_capacities(
        by: Annotated[Actor, authentication.permit(ApiAction.LIST_CAPACITIES)],
    ) -> dict[str, Any]:
        """A lead reads what concerns the own agency, with each service of its mandate; others read the whole city."""
        only = by.agency if by.role is ActorRole.AGENCY_LEAD else None
        async with recorded(by, ApiAction.LIST_CAPACITIES) as connection:
            stated = await repository.list_capacities(connection, only)
            open_cases = await repository.count_open_cases(connection, only)
        rules = state_capacities.rules_at(utc_now())
        found = {(row["agency"], row["service"]): row for row in stated}
        of_mandate = {(only, need.value) for need in rules.find_mandate(only)} if only else set()
        keys = {key for key in found.keys() | open_cases.keys() | of_mandate if key[0] in names}
        return {
            "today": rules.today,
            "capacities": [
                _capacity_out(
                    agency,
                    names[agency],
                    Need(code),
                    found.get((agency, code), _NOTHING),
                    open_cases.get((agency, code), 0),
                    rules.agreement.right_of,
                    rules.today,
                )
                for agency, code in sorted(keys)
            ],
        }

    @web.put("/capacities", status_code=204, summary="State what the own agency can take for a service", **guarded)
    async def state_capacity(
        by: Annotated[Actor, authentication.permit(ApiAction.STATE_CAPACITY)], body: StatedCapacity
    ) -> None:
        await state_capacities.state_capacity(body, by)


def _capacity_out(
    agency: str,
    name: str,
    need: Need,
    stated: Mapping[str, Any],
    open_cases: int,
    right_of: Mapping[Need, Right],
    today: date,
) -> dict[str, Any]:
    capacity = ServiceCapacity(open_cases, stated["max_open"], stated["full_until"])
    return {
        "agency": agency,
        "agency_name": name,
        "service": need,
        "right": right_of.get(need),
        "open_cases": open_cases,
        "max_open_cases": capacity.max_open,
        "full_until": capacity.full_until,
        "stated_at": stated["stated_at"],
        "is_full": capacity.is_full_on(today),
        "is_never_passed_over": need in NEVER_PASSED_OVER,
    }

"""What the city's machines do, by HTTP: agencies that are silent, and messages that were set aside."""

from typing import Annotated, Any

from fastapi import FastAPI

from simpul_city import City
from simpul_routing import repository
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_runtime.service import Service


def add_operation_routes(
    web: FastAPI, service: Service, city: City, authentication: Authentication, documented: dict[str, Any]
) -> None:
    """Adds the route about the city's machines; it names no case."""
    names = {agency.code: agency.name for agency in city.agencies}
    recorded = record_reads(service.engine)

    @web.get("/operations", summary="Silent agencies, and parked messages by reason", tags=["operation"], **documented)
    async def operations(by: Annotated[Actor, authentication.permit(ApiAction.READ_OPERATIONS)]) -> dict[str, Any]:
        async with recorded(by, ApiAction.READ_OPERATIONS) as connection:
            silent = await repository.list_silent_agencies(connection)
            parked = await repository.list_parked_messages(connection)
        return {
            "silent_agencies": [{**row, "agency_name": names.get(row["agency"], row["agency"])} for row in silent],
            "parked": parked,
        }

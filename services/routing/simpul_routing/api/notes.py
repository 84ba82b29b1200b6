"""The notes of agencies to a case, by HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI

from simpul_city import City
from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.use_cases import CaseNotes, SeeCases
from simpul_runtime.service import Service
from simpul_schema.names import subject_of_case


def add_note_routes(
    web: FastAPI,
    service: Service,
    city: City,
    case_notes: CaseNotes,
    see_cases: SeeCases,
    authentication: Authentication,
    codes: Codes,
    documented: dict[str, Any],
) -> None:
    """Adds the route."""
    names = {agency.code: agency.name for agency in city.agencies}
    recorded = record_reads(service.engine)

    @web.get(
        "/cases/{case_id}/notes",
        summary="The notes of agencies that the person may read, by the section of the dossier that they add to",
        tags=["cases"],
        **documented,
    )
    async def list_notes(
        by: Annotated[Actor, authentication.permit(ApiAction.READ_NOTES)],
        case_id: Annotated[UUID, Depends(codes.find_case)],
    ) -> list[dict[str, Any]]:
        async with recorded(by, ApiAction.READ_NOTES, subject_of_case(case_id)) as connection:
            await see_cases.find_case(connection, case_id, by)
        # Afterwards, so that one request never waits for a second connection while it holds one.
        return [
            {
                "note_id": one.note_id,
                "agency": one.agency,
                "agency_name": names.get(one.agency, one.agency),
                "about": one.about,
                "text": one.text,
                "written_at": one.written_at,
            }
            for one in await case_notes.list_notes(case_id, by)
        ]

"""The team of a lead: how much it has, which member has what, and what is late."""

from uuid import UUID

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_desk.access import Role
from simpul_desk.city_pages.pages import PAGE, CityPages, Lead
from simpul_desk.hosting import repository as worklists
from simpul_runtime.database import utc_now


def add_team_page(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.get("/team", include_in_schema=False)
    async def team(request: Request, user: Lead) -> Response:
        agencies = sorted(user.agencies_as(Role.AGENCY_LEAD))
        async with pages.service.engine.connect() as connection:
            loads = await worklists.count_load(connection, agencies, user.excluded_cases, utc_now())
            members = await worklists.count_member_loads(connection, agencies, user.excluded_cases, utc_now())
            entries, _ = await worklists.list_entries(connection, agencies, user.id, user.excluded_cases, PAGE)
        now = utc_now()
        late = [entry for entry in entries if entry.due_at and entry.due_at <= now]
        return pages.render(request, "city/team.html", agencies=agencies, loads=loads, members=members, late=late)

    @web.get("/team/{agency}/{account_id}", include_in_schema=False)
    async def member(request: Request, user: Lead, agency: str, account_id: UUID) -> Response:
        if agency not in user.agencies_as(Role.AGENCY_LEAD):
            raise HTTPException(404)
        async with pages.service.engine.connect() as connection:
            loads = await worklists.count_member_loads(connection, [agency], user.excluded_cases, utc_now())
            found = await worklists.list_entries_of_member(
                connection, agency, account_id, user.id, user.excluded_cases, PAGE
            )
        load = next((one for one in loads if one["account_id"] == account_id), None)
        if load is None:
            raise HTTPException(404)
        return pages.render(request, "city/member.html", agency=agency, load=load, entries=found)

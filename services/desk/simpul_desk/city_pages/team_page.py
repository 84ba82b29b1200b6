"""The team of a lead: how much it has, and what is late."""

from fastapi import FastAPI, Request, Response

from simpul_desk.access import Role
from simpul_desk.city_pages.pages import PAGE, CityPages, Lead
from simpul_desk.hosting import repository as worklists
from simpul_runtime.database import utc_now


def add_team_page(web: FastAPI, pages: CityPages) -> None:
    """Adds the route."""

    @web.get("/team", include_in_schema=False)
    async def team(request: Request, user: Lead) -> Response:
        agencies = sorted(user.agencies_as(Role.AGENCY_LEAD))
        async with pages.service.engine.connect() as connection:
            loads = await worklists.count_load(connection, agencies, user.excluded_cases, utc_now())
            entries, _ = await worklists.list_entries(connection, agencies, user.id, user.excluded_cases, PAGE)
        now = utc_now()
        late = [entry for entry in entries if entry.due_at and entry.due_at <= now]
        return pages.render(request, "city/team.html", agencies=agencies, loads=loads, late=late)

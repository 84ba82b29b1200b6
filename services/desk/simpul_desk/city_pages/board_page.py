"""The city board, the lists of what waits for a decision, and what the city's machines do."""

import asyncio

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from simpul_desk.access import Role, recheck_access
from simpul_desk.city_pages.pages import LISTS, PAGE, CityPages, Coordinator, leave_out
from simpul_desk.live import CITY, Listener, event_stream


def add_board(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.get("/city", include_in_schema=False)
    async def board(request: Request, user: Coordinator) -> Response:
        actor = user.act_as(Role.COORDINATOR)
        cases, counts = await asyncio.gather(pages.load_board(actor, user.excluded_cases), pages.count_lists(user))
        return pages.render(request, "city/board.html", cases=cases, counts=counts)

    @web.get("/city/cases", include_in_schema=False)
    async def all_cases(request: Request, user: Coordinator, after: str = "") -> Response:
        answer = await pages.read(user, "/cases", after=after, limit=PAGE)
        page = answer.content
        return pages.render(request, "city/cases.html", page=page | {"cases": leave_out(user, page["cases"])})

    @web.get("/city/machines", include_in_schema=False)
    async def machines(request: Request, user: Coordinator) -> Response:
        answer = await pages.routing.get(user.act_as(Role.COORDINATOR), "/operations")
        numbers = pages.city.agency_numbers
        return pages.render(request, "city/machines.html", found=answer.content, agency_numbers=numbers)

    @web.get("/city/live", include_in_schema=False)
    async def live(request: Request, user: Coordinator) -> StreamingResponse:
        may_listen = recheck_access(request, lambda person: Role.COORDINATOR in person.roles)
        return event_stream(pages.live, CITY, Listener(user.id, user.name, may_listen))

    @web.get("/city/{name}", include_in_schema=False)
    async def decisions(request: Request, user: Coordinator, name: str, after: str = "") -> Response:
        if name not in LISTS:
            raise HTTPException(404)
        path, key = LISTS[name]
        answer = await pages.read(user, path, after=after, limit=PAGE)
        page = answer.content
        lines = leave_out(user, page[key])
        return pages.render(request, f"city/{name}.html", lines=lines, total=page["total"], next=page["next"])

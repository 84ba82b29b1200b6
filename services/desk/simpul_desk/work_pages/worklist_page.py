"""The worklist: the referrals of the agencies of a person, first what runs out first."""

from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response

from simpul_desk.access import CurrentUser, User
from simpul_desk.hosting import repository
from simpul_desk.hosting.worklist import divide_by_pressure
from simpul_desk.rendering import render
from simpul_desk.work_pages.pages import TERMS, WorkPages

PAGE: Final = 50
"""Rows of the worklist that are shown at first; a link shows as many more."""


def add_worklist(web: FastAPI, pages: WorkPages) -> None:
    """Adds the route."""

    @web.get("/work", include_in_schema=False)
    async def worklist(
        request: Request, user: CurrentUser, shown: Annotated[int, Query(ge=1, le=repository.MAX_COUNTED)] = PAGE
    ) -> Response:
        return await render_worklist(pages, request, user, shown)


async def render_worklist(pages: WorkPages, request: Request, user: User, limit: int = PAGE) -> Response:
    """Renders the rows of all agencies of the person, up to a limit."""
    agencies = sorted(pages.hosted.codes & user.memberships.keys())
    async with pages.service.engine.connect() as connection:
        entries, total = await repository.list_entries(connection, agencies, user.id, user.excluded_cases, limit)
    wording = pages.wording(request)
    return render(
        request,
        "work/list.html",
        entries=entries,
        total=total,
        limit=limit,
        more=min(limit + PAGE, repository.MAX_COUNTED),
        counts=divide_by_pressure(entries, wording.now),
        agencies=agencies,
        has_guide=pages.has_guide,
        agency_names=pages.agency_names,
        wording=wording,
        **TERMS,
    )

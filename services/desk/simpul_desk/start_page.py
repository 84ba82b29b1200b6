"""The page on which a person starts: what waits for them, by their roles."""

from collections.abc import Collection
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from simpul_desk.access import CurrentUser, Role, User
from simpul_desk.rendering import list_places, render

_STARTS: Final = (
    (Role.COORDINATOR, "/city"),
    (Role.AGENCY_LEAD, "/team"),
    (Role.AUDITOR, "/audit"),
    (Role.OPERATOR, "/doctor"),
)
"""Where people with a role start who do not work on a worklist; the first role that they hold counts."""


def find_start(user: User, hosted: Collection[str]) -> str:
    """Finds the page on which a person starts; empty when there is none for their roles.

    `hosted` are the agencies that work at the desk.
    """
    if not user.memberships.keys().isdisjoint(hosted):
        return "/work"
    return next((address for role, address in _STARTS if role in user.roles), "")


def add_start_page(web: FastAPI, hosted: Collection[str] = ()) -> None:
    """Registers the route."""

    @web.get("/", include_in_schema=False)
    async def start(request: Request, user: CurrentUser) -> Response:
        address = find_start(user, hosted)
        if address:
            return RedirectResponse(address, 303)
        return render(request, "start.html", places=list_places(user), is_member=bool(user.memberships))

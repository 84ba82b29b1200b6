"""Leads who opens the address of a form to the page that has the form.

A page that answers a form stays under the address of the form, and `history.js` makes the browser load it with GET.
"""

from collections.abc import Sequence
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from simpul_runtime.failure_responses import wants_page

_OPENED: Final = frozenset({"GET", "HEAD"})


def find_page_above(routes: Sequence[BaseRoute], path: str) -> str:
    """Finds the nearest address above a path that has a page; the start page is above all."""
    above = path.rpartition("/")[0]
    while above and not _has_page(routes, above):
        above = above.rpartition("/")[0]
    return above or "/"


def add_form_addresses(web: FastAPI) -> None:
    """Adds the answer; any other request with a method that an address does not take is refused as before."""
    refuse = web.exception_handlers[HTTPException]

    @web.exception_handler(405)
    async def lead_to_page(request: Request, error: HTTPException) -> Response:
        if request.method not in _OPENED or not wants_page(request):
            refused: Response = await refuse(request, error)  # type: ignore[misc]  # it is a coroutine function
            return refused
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(find_page_above(web.routes, request.url.path) + query, 303)


def _has_page(routes: Sequence[BaseRoute], path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)

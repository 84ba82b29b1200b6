"""What a route asks for before it answers: a person who is signed in, their role, and a form of this site.

A page that is not for somebody answers as one that does not exist.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from simpul_desk.access.session import form_token_of, is_form_token
from simpul_desk.access.user import Role, User
from simpul_runtime.database import utc_now
from simpul_runtime.failure_responses import wants_page

SESSION_COOKIE: Final = "__Host-simpul-session"
"""Holds the secret of a session."""
GUEST_COOKIE: Final = "__Host-simpul-guest"
"""Binds the forms of somebody who is not signed in to their browser."""
FORM_FIELD: Final = "form_token"
FORM_HEADER: Final = "X-Form-Token"
"""Instead of the field, for a script's request."""
LOGIN: Final = "/login"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

FindUser: TypeAlias = Callable[[str, datetime], Awaitable[User | None]]
"""Finds who is signed in by the secret of a cookie."""
Claim: TypeAlias = Callable[[User], bool]
"""Whether something is for a person."""


class NotSignedIn(Exception):
    """Nobody is signed in; a browser is led to the login."""


class FormExpired(Exception):
    """The form was not made for this browser, or belongs to a session that has ended; open it again."""


class Requirement:
    """The dependency of a route that is for people with some roles."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    async def __call__(self, request: Request) -> User:
        """Returns who is signed in, and checks the form that they send.

        Raises NotSignedIn, FormExpired, and for people with other roles the error of a page that does not exist.
        """
        find_user: FindUser = request.app.state.find_user
        cookie = request.cookies.get(SESSION_COOKIE, "")
        user = await find_user(cookie, utc_now()) if cookie else None
        if user is None:
            raise NotSignedIn
        request.state.user = user
        if self.roles.isdisjoint(user.roles):
            raise HTTPException(404)
        await check_form(request, cookie)
        return user


def require(*roles: Role) -> Requirement:
    """Returns the dependency of a route that is for people who hold one of these roles anywhere."""
    return Requirement(frozenset(roles))


current_user: Final = require(*Role)
"""The dependency of a route that is for everybody who is signed in."""
CurrentUser = Annotated[User, Depends(current_user)]


def recheck_access(request: Request, is_for: Claim) -> Callable[[], Awaitable[bool]]:
    """Returns what checks again whether the sender of a request is signed in, and has what the answer needs.

    An answer that lasts, such as a stream of events, checks it repeatedly, which does not prolong the session.
    """
    recall_user: FindUser = request.app.state.recall_user
    cookie = request.cookies.get(SESSION_COOKIE, "")

    async def check() -> bool:
        user = await recall_user(cookie, utc_now())
        return user is not None and is_for(user)

    return check


class GuestForm:
    """The dependency of a page that people use before they are signed in; checks the form that they send."""

    async def __call__(self, request: Request) -> None:
        """Raises FormExpired."""
        await check_form(request, request.cookies.get(GUEST_COOKIE, ""))


guest_form: Final = GuestForm()


async def check_form(request: Request, cookie: str) -> None:
    """Checks that a request that changes something comes from a form of this site; raises FormExpired."""
    if request.method in _SAFE:
        return
    # A browser names the site that sent the request; a program need not.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise FormExpired
    token: Any = request.headers.get(FORM_HEADER, "")
    if not token and request.headers.get("content-type", "").startswith(_FORM_TYPES):
        token = (await request.form()).get(FORM_FIELD, "")
    if not isinstance(token, str) or not is_form_token(token, cookie):
        raise FormExpired


def form_token(request: Request) -> str:
    """Returns the token of the forms on the page that answers a request."""
    fresh = getattr(request.state, "guest_cookie", "")
    signed_in = request.cookies.get(SESSION_COOKIE, "") if getattr(request.state, "user", None) else ""
    return form_token_of(signed_in or fresh or request.cookies.get(GUEST_COOKIE, ""))


def add_access_errors(web: FastAPI, render_refusal: Callable[[Request, int, str], Response]) -> None:
    """Answers the errors of this module; `render_refusal` renders a page from a status and the name of a text."""

    @web.exception_handler(NotSignedIn)
    async def lead_to_login(request: Request, _: NotSignedIn) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": LOGIN})
        if not wants_page(request):
            return JSONResponse({"code": "not_signed_in", "detail": "Nobody is signed in."}, 401)
        target = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
        after = f"?next={quote(target + query, safe='')}" if target != "/" else ""
        return RedirectResponse(LOGIN + after, 303)

    @web.exception_handler(FormExpired)
    async def refuse_form(request: Request, _: FormExpired) -> Response:
        if wants_page(request):
            return render_refusal(request, 403, "form_expired")
        return JSONResponse({"code": "form_expired", "detail": "The form has expired; open it again."}, 403)


def local_target(wanted: str) -> str:
    """Returns a path of this site to which a person is led; the start page for anything else."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_local else "/"

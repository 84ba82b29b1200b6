"""Signing in, and connecting an account, by way of the city's OpenID Connect provider."""

from typing import Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from simpul_desk.access import CurrentUser, guest_form
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.errors import SubjectTaken, SubjectUnknown
from simpul_desk.access.provider import Attempt, Provider, ProviderFailed
from simpul_desk.access.sign_in import SignIn
from simpul_desk.account_pages.cookies import client_of, keep_session
from simpul_desk.account_pages.login import CODE
from simpul_desk.account_pages.refusals import render_refusal
from simpul_desk.account_pages.ways_in import WAYS_IN
from simpul_runtime.database import utc_now

ATTEMPT_COOKIE: Final = "__Host-simpul-provider"
_ATTEMPT_LIFETIME: Final = 600
"""Seconds for the provider's pages."""


def add_provider_pages(web: FastAPI, sign_in: SignIn, accounts: Accounts, provider: Provider) -> None:
    """Registers the routes."""
    router = APIRouter(include_in_schema=False)
    _add_login(router, sign_in, accounts, provider)
    _add_connection(router, accounts, provider)

    @web.exception_handler(ProviderFailed)
    async def explain_failure(request: Request, _: ProviderFailed) -> Response:
        return render_refusal(request, 502, "provider_failed")

    web.routes.extend(router.routes)


def _add_login(router: APIRouter, sign_in: SignIn, accounts: Accounts, provider: Provider) -> None:
    @router.get("/login/provider", dependencies=[Depends(guest_form)])
    async def begin_login(request: Request) -> Response:
        return await _lead_to_provider(provider, str(request.url_for("finish_login")))

    @router.get("/login/provider/callback", dependencies=[Depends(guest_form)])
    async def finish_login(request: Request) -> Response:
        try:
            account_id = await accounts.find_by_subject(await _find_subject(provider, request))
        except SubjectUnknown:
            return render_refusal(request, 403, "not_connected")
        response = RedirectResponse(CODE, 303)
        response.delete_cookie(ATTEMPT_COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        keep_session(response, await sign_in.begin_session(account_id, client_of(request), utc_now()))
        return response


def _add_connection(router: APIRouter, accounts: Accounts, provider: Provider) -> None:
    @router.get(f"{WAYS_IN}/provider")
    async def begin_connecting(request: Request, user: CurrentUser) -> Response:
        return await _lead_to_provider(provider, str(request.url_for("finish_connecting")))

    @router.get(f"{WAYS_IN}/provider/callback")
    async def finish_connecting(request: Request, user: CurrentUser) -> Response:
        try:
            await accounts.connect(user, await _find_subject(provider, request))
        except SubjectTaken:
            return render_refusal(request, 409, "connected_elsewhere")
        response = RedirectResponse(WAYS_IN, 303)
        response.delete_cookie(ATTEMPT_COOKIE, secure=True, httponly=True, samesite="lax", path="/")
        return response

    @router.post(f"{WAYS_IN}/provider/remove")
    async def disconnect(user: CurrentUser) -> Response:
        await accounts.disconnect(user)
        return RedirectResponse(WAYS_IN, 303)


async def _lead_to_provider(provider: Provider, callback: str) -> Response:
    attempt = Attempt.begin()
    response = RedirectResponse(await provider.address_for(attempt, callback), 303)
    response.set_cookie(
        ATTEMPT_COOKIE, attempt.write(), max_age=_ATTEMPT_LIFETIME, secure=True, httponly=True, samesite="lax", path="/"
    )
    return response


async def _find_subject(provider: Provider, request: Request) -> str:
    attempt = Attempt.read(request.cookies.get(ATTEMPT_COOKIE, ""))
    callback = str(request.url.replace(query=""))
    return await provider.find_subject(attempt, callback, str(request.url))

"""The pages on which a person changes how they sign in: passkeys, authenticator, codes on paper."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import segno
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from markupsafe import Markup
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import CurrentUser, User
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.authenticator import authenticator_address
from simpul_desk.access.errors import CodeWrong, LoginRefused, PasskeyRefused
from simpul_desk.access.passkeys import Passkeys
from simpul_desk.access.provider import Provider
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.web import SESSION_COOKIE
from simpul_desk.account_pages.login import Credential, Typed, TypedCode, site_of
from simpul_desk.account_pages.texts import describe_error, moment_formatter
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now

WAYS_IN: Final = "/account/sign-in"


def draw_authenticator(secret: str, login_name: str, city: City) -> tuple[str, Markup]:
    """Returns what an authenticator reads, as an address and as a picture."""
    address = authenticator_address(secret, login_name, f"Simpul {city.name}")
    return address, Markup(segno.make(address, error="m").svg_inline(scale=5, light="#fff"))  # noqa: S704 - made here


def group_key(secret: str) -> str:
    """Returns the key of an authenticator as a person types it."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def add_ways_in_pages(
    web: FastAPI, sign_in: SignIn, accounts: Accounts, passkeys: Passkeys, provider: Provider | None, city: City
) -> None:
    """Registers the routes."""
    router = APIRouter(include_in_schema=False)

    async def show(request: Request, user: User, *, error: str = "", error_field: str = "") -> Response:
        return render(
            request,
            "account/ways_in.html",
            status=422 if error else 200,
            passkeys=await passkeys.list(user),
            codes_left=await accounts.count_recovery_codes(user),
            error=error,
            error_field=error_field,
            moment=moment_formatter(page_language(request), city.zone),
            provider=provider.name if provider else "",
            is_connected=await accounts.is_connected(user),
        )

    @router.get(WAYS_IN)
    async def ways_in(request: Request, user: CurrentUser) -> Response:
        return await show(request, user)

    @router.post(f"{WAYS_IN}/codes")
    async def renew_codes(request: Request, user: CurrentUser, codes_password: Typed = "") -> Response:
        try:
            codes: Sequence[str] = await accounts.renew_recovery_codes(user, codes_password)
        except LoginRefused as error:
            text = describe_error(page_language(request), error, is_signed_in=True)
            return await show(request, user, error=text, error_field="codes_password")
        return render(request, "account/codes.html", codes=codes)

    _add_passkeys(router, passkeys, show)
    _add_authenticator(router, sign_in, accounts, city)
    web.routes.extend(router.routes)


def _add_passkeys(router: APIRouter, passkeys: Passkeys, show: Callable[..., Awaitable[Response]]) -> None:
    @router.post(f"{WAYS_IN}/passkeys/options")
    async def begin_adding(request: Request, user: CurrentUser, current_password: Typed = "") -> Response:
        try:
            options = await passkeys.begin_adding(user, current_password, site_of(request), utc_now())
        except LoginRefused as error:
            return JSONResponse({"detail": describe_error(page_language(request), error, is_signed_in=True)}, 422)
        return Response(options, media_type="application/json")

    @router.post(f"{WAYS_IN}/passkeys")
    async def add_passkey(
        request: Request, user: CurrentUser, name: Typed = "", credential: Credential = ""
    ) -> Response:
        try:
            await passkeys.add(user, name, credential, site_of(request), utc_now())
        except PasskeyRefused as error:
            text = describe_error(page_language(request), error)
            return await show(request, user, error=text, error_field="passkeys")
        return RedirectResponse(WAYS_IN, 303)

    @router.post(f"{WAYS_IN}/passkeys/{{credential_id}}/remove")
    async def remove_passkey(user: CurrentUser, credential_id: str) -> Response:
        try:
            is_removed = await passkeys.remove(user, bytes.fromhex(credential_id))
        except ValueError:
            is_removed = False
        if not is_removed:
            raise HTTPException(404)
        return RedirectResponse(WAYS_IN, 303)


def _add_authenticator(router: APIRouter, sign_in: SignIn, accounts: Accounts, city: City) -> None:
    async def show(request: Request, user: User, error: str = "", error_field: str = "") -> Response:
        proposed = await sign_in.propose_new_authenticator(user, request.cookies[SESSION_COOKIE])
        _, picture = draw_authenticator(proposed.secret, proposed.login_name, city)
        return render(
            request,
            "account/new_authenticator.html",
            status=422 if error else 200,
            picture=picture,
            secret=group_key(proposed.secret),
            error=error,
            error_field=error_field,
        )

    @router.get(f"{WAYS_IN}/authenticator")
    async def new_authenticator(request: Request, user: CurrentUser) -> Response:
        return await show(request, user)

    @router.post(f"{WAYS_IN}/authenticator")
    async def change_authenticator(
        request: Request, user: CurrentUser, current_password: Typed = "", code: TypedCode = ""
    ) -> Response:
        try:
            await accounts.prove_password(user, current_password)
            await sign_in.change_authenticator(user, request.cookies[SESSION_COOKIE], code, utc_now())
        except LoginRefused as error:
            text = describe_error(page_language(request), error, is_signed_in=True)
            return await show(request, user, text, "current_password")
        except CodeWrong as error:
            return await show(request, user, describe_error(page_language(request), error), "code")
        return RedirectResponse(WAYS_IN, 303)

"""The pages of signing in with a password and a code, and of signing out."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from simpul_desk.access import CurrentUser, guest_form
from simpul_desk.access.errors import CodeWrong, LoginBlocked, LoginRefused, PasskeyRefused, SessionEnded
from simpul_desk.access.passkeys import Passkeys, Site
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.web import LOGIN, SESSION_COOKIE, local_target
from simpul_desk.account_pages.cookies import client_of, forget_session, keep_login, keep_session
from simpul_desk.account_pages.texts import describe_error
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now

CODE: Final = "/login/code"
AUTHENTICATOR: Final = "/login/authenticator"
Typed = Annotated[str, Form(max_length=300)]
TypedCode = Annotated[str, Form(max_length=40)]
Credential = Annotated[str, Form(max_length=20_000)]
"""A passkey's answer, as JSON."""
Target = Annotated[str, Form(alias="next", max_length=500)]
"""The page to which a login leads."""


def add_login_pages(web: FastAPI, sign_in: SignIn, passkeys: Passkeys, provider: str) -> None:
    """Registers the routes; `provider` is the name of the city's provider, or empty."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(guest_form)])

    @router.get(LOGIN)
    async def login(request: Request) -> Response:
        return show_login(request, provider, wanted_target(request))

    @router.post(LOGIN)
    async def send_password(
        request: Request, login_name: Typed = "", password: Typed = "", target: Target = "/"
    ) -> Response:
        try:
            secret = await sign_in.check_password(login_name, password, client_of(request), utc_now())
        except (LoginRefused, LoginBlocked) as error:
            return show_login(request, provider, local_target(target), login_name, error)
        response = lead_to(CODE, target)
        keep_session(response, secret)
        return response

    @web.post("/logout", include_in_schema=False)
    async def sign_out(user: CurrentUser) -> Response:
        await sign_in.sign_out(user)
        response = RedirectResponse(LOGIN, 303)
        forget_session(response)
        return response

    @web.exception_handler(SessionEnded)
    async def begin_again(_: Request, error: SessionEnded) -> Response:
        return RedirectResponse(LOGIN, 303)

    _add_code_pages(router, sign_in)
    _add_passkey_login(router, passkeys, provider)
    web.routes.extend(router.routes)


def _add_code_pages(router: APIRouter, sign_in: SignIn) -> None:
    @router.get(CODE)
    async def code_page(request: Request) -> Response:
        if await sign_in.needs_authenticator(begun_secret(request), utc_now()):
            return lead_to(AUTHENTICATOR, wanted_target(request))
        return render(request, "account/code.html", next=wanted_target(request), error="")

    @router.post(CODE)
    async def send_code(request: Request, code: TypedCode = "", target: Target = "/") -> Response:
        try:
            signed_in = await sign_in.check_code(begun_secret(request), code, client_of(request), utc_now())
        except (CodeWrong, LoginBlocked) as error:
            return render(
                request,
                "account/code.html",
                status=status_of(error),
                next=local_target(target),
                error=describe_error(page_language(request), error),
            )
        response = RedirectResponse(local_target(target), 303)
        keep_login(response, signed_in)
        return response

    @router.post("/login/recovery-code")
    async def send_recovery_code(request: Request, code: TypedCode = "", target: Target = "/") -> Response:
        try:
            signed_in = await sign_in.check_recovery_code(begun_secret(request), code, client_of(request), utc_now())
        except (CodeWrong, LoginBlocked) as error:
            return render(
                request,
                "account/code.html",
                status=status_of(error),
                next=local_target(target),
                error=describe_error(page_language(request), error),
            )
        response = RedirectResponse(local_target(target), 303)
        keep_login(response, signed_in)
        return response


def _add_passkey_login(router: APIRouter, passkeys: Passkeys, provider: str) -> None:
    @router.post("/login/passkey/options")
    async def begin_passkey(request: Request) -> Response:
        return Response(await passkeys.begin_login(site_of(request), utc_now()), media_type="application/json")

    @router.post("/login/passkey")
    async def send_passkey(request: Request, credential: Credential = "", target: Target = "/") -> Response:
        try:
            signed_in = await passkeys.sign_in(credential, site_of(request), client_of(request), utc_now())
        except PasskeyRefused as error:
            return show_login(request, provider, local_target(target), error=error)
        response = RedirectResponse(local_target(target), 303)
        keep_login(response, signed_in)
        return response


def show_login(
    request: Request, provider: str, target: str, login_name: str = "", error: Exception | None = None
) -> Response:
    """Renders the first page of a login; `provider` is the name of the city's provider, or empty."""
    return render(
        request,
        "account/login.html",
        status=status_of(error) if error else 200,
        next=target,
        login_name=login_name,
        error=describe_error(page_language(request), error) if error else "",
        provider=provider,
    )


def site_of(request: Request) -> Site:
    """Returns the site that a browser asked."""
    return Site(request.url.hostname or "", f"{request.url.scheme}://{request.url.netloc}")


def status_of(error: Exception) -> int:
    """Returns the status of a login that failed."""
    return 429 if isinstance(error, LoginBlocked) else 401


def begun_secret(request: Request) -> str:
    """Returns the secret of a login that waits for its second factor."""
    return request.cookies.get(SESSION_COOKIE, "")


def wanted_target(request: Request) -> str:
    """Returns the page to which a login leads, as the address says."""
    return local_target(request.query_params.get("next", ""))


def lead_to(page: str, target: str) -> RedirectResponse:
    """Leads to the next step of a login, which remembers the page that was wanted."""
    after = local_target(target)
    return RedirectResponse(page if after == "/" else f"{page}?{urlencode({'next': after})}", 303)

"""The pages of a one-time link: a password, then an authenticator."""

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from simpul_city import City
from simpul_desk.access import guest_form
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.errors import CodeWrong, LinkUnknown
from simpul_desk.access.password import MIN_LENGTH, PasswordUnsuitable
from simpul_desk.access.sign_in import SignIn
from simpul_desk.access.web import local_target
from simpul_desk.account_pages.cookies import client_of, keep_login, keep_session
from simpul_desk.account_pages.login import AUTHENTICATOR, Target, Typed, TypedCode, begun_secret, wanted_target
from simpul_desk.account_pages.refusals import render_refusal
from simpul_desk.account_pages.texts import describe_error
from simpul_desk.account_pages.ways_in import draw_authenticator, group_key
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now


def add_link_pages(web: FastAPI, sign_in: SignIn, accounts: Accounts, city: City) -> None:
    """Registers the routes."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(guest_form)])

    @router.get("/invitation/{secret}")
    async def invitation(request: Request, secret: str) -> Response:
        link = await accounts.find_link(secret, utc_now())
        return render(request, "account/link.html", link=link, min_length=MIN_LENGTH, error="")

    @router.post("/invitation/{secret}")
    async def set_password(request: Request, secret: str, password: Typed = "") -> Response:
        link = await accounts.find_link(secret, utc_now())
        try:
            account_id = await accounts.set_password_by_link(secret, password, utc_now())
        except PasswordUnsuitable as error:
            text = describe_error(page_language(request), error)
            return render(request, "account/link.html", status=422, link=link, min_length=MIN_LENGTH, error=text)
        response = RedirectResponse(AUTHENTICATOR, 303)
        keep_session(response, await sign_in.begin_session(account_id, client_of(request), utc_now()))
        return response

    async def show_authenticator(request: Request, target: str, error: str = "") -> Response:
        proposed = await sign_in.propose_authenticator(begun_secret(request), utc_now())
        address, picture = draw_authenticator(proposed.secret, proposed.login_name, city)
        return render(
            request,
            "account/authenticator.html",
            status=401 if error else 200,
            picture=picture,
            address=address,
            secret=group_key(proposed.secret),
            next=target,
            error=error,
        )

    @router.get(AUTHENTICATOR)
    async def authenticator(request: Request) -> Response:
        return await show_authenticator(request, wanted_target(request))

    @router.post(AUTHENTICATOR)
    async def send_first_code(request: Request, code: TypedCode = "", target: Target = "/") -> Response:
        try:
            signed_in = await sign_in.add_authenticator(begun_secret(request), code, client_of(request), utc_now())
        except CodeWrong as error:
            text = describe_error(page_language(request), error)
            return await show_authenticator(request, local_target(target), text)
        response = RedirectResponse(local_target(target), 303)
        keep_login(response, signed_in)
        return response

    @web.exception_handler(LinkUnknown)
    async def refuse_link(request: Request, _: LinkUnknown) -> Response:
        return render_refusal(request, 404, "link_unknown")

    web.routes.extend(router.routes)

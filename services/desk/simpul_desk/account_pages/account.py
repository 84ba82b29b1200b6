"""The page on which a person looks after their own account."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import CurrentUser, User
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.errors import LoginRefused
from simpul_desk.access.password import MIN_LENGTH, PasswordUnsuitable
from simpul_desk.account_pages.texts import describe_error, moment_formatter
from simpul_desk.rendering import LANGUAGE_COOKIE, page_language, render
from simpul_runtime.database import utc_now
from simpul_runtime.languages import known_language
from simpul_schema.translations import gettext_noop, load_translations

ACCOUNT = "/account"
_PASSWORD_CHANGED = gettext_noop("Your password is changed, and your other sessions have ended.")
_Typed = Annotated[str, Form(max_length=300)]


def add_account_pages(web: FastAPI, accounts: Accounts, city: City) -> None:
    """Registers the routes."""
    agency_names = {agency.code: agency.name for agency in city.agencies}
    router = APIRouter(include_in_schema=False)

    async def show(
        request: Request,
        user: User,
        *,
        status: int = 200,
        error: str = "",
        error_field: str = "",
        done: str = "",
    ) -> Response:
        sessions = await accounts.list_sessions(user, utc_now())
        return render(
            request,
            "account/account.html",
            status=status,
            sessions=sessions,
            agency_names=agency_names,
            moment=moment_formatter(page_language(request), city.zone),
            min_length=MIN_LENGTH,
            error=error,
            error_field=error_field,
            done=done,
        )

    @router.get(ACCOUNT)
    async def account(request: Request, user: CurrentUser) -> Response:
        return await show(request, user)

    @router.post(f"{ACCOUNT}/password")
    async def change_password(
        request: Request, user: CurrentUser, current_password: _Typed = "", password: _Typed = ""
    ) -> Response:
        language = page_language(request)
        try:
            await accounts.change_password(user, current_password, password)
        except LoginRefused as error:
            text = describe_error(language, error, is_signed_in=True)
            return await show(request, user, status=422, error=text, error_field="current_password")
        except PasswordUnsuitable as error:
            text = describe_error(language, error)
            return await show(request, user, status=422, error=text, error_field="password")
        return await show(request, user, done=load_translations("simpul_desk")[language].gettext(_PASSWORD_CHANGED))

    @router.post(f"{ACCOUNT}/language")
    async def change_language(user: CurrentUser, language: _Typed = "") -> Response:
        await accounts.change_language(user, known_language(language))
        answer = RedirectResponse(ACCOUNT, 303)
        answer.delete_cookie(LANGUAGE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return answer

    @router.post(f"{ACCOUNT}/sessions/end")
    async def end_other_sessions(user: CurrentUser) -> Response:
        await accounts.end_other_sessions(user)
        return RedirectResponse(ACCOUNT, 303)

    @router.post(f"{ACCOUNT}/sessions/{{session_id}}/end")
    async def end_session(user: CurrentUser, session_id: UUID) -> Response:
        if not await accounts.end_session(user, session_id):
            raise HTTPException(404)
        return RedirectResponse(ACCOUNT, 303)

    web.routes.extend(router.routes)

"""The page on which leads and coordinators give and take access, and on which recoveries are confirmed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import AGENCY_ROLES, SEE_CASES, Role, User, require
from simpul_desk.access.accounts import INVITATION_LIFETIME, RECOVERY_LIFETIME, Invitation
from simpul_desk.access.errors import LoginNameInvalid, LoginNameTaken, NameInvalid, NotManaged, RecoveryUnknown
from simpul_desk.access.members import Members
from simpul_desk.account_pages.texts import describe_error, moment_formatter
from simpul_desk.rendering import page_language, render
from simpul_runtime.database import utc_now
from simpul_runtime.languages import known_language

MEMBERS: Final = "/members"
MANAGERS: Final = (Role.AGENCY_LEAD, Role.COORDINATOR)
_Manager = Annotated[User, Depends(require(*MANAGERS))]
_Colleague = Annotated[User, Depends(require(*SEE_CASES))]
_Typed = Annotated[str, Form(max_length=300)]


def add_member_pages(web: FastAPI, members: Members, city: City) -> None:
    """Registers the routes."""
    agency_names = {agency.code: agency.name for agency in city.agencies}
    router = APIRouter(include_in_schema=False)

    async def show(
        request: Request, user: User, *, typed: Mapping[str, str] | None = None, error: Exception | None = None
    ) -> Response:
        found, language = await members.list(user, utc_now()), page_language(request)
        is_coordinator = Role.COORDINATOR in user.city_roles
        led = user.agencies_as(Role.AGENCY_LEAD)
        return render(
            request,
            "account/members.html",
            status=422 if error else 200,
            members=found.members,
            recoveries=found.recoveries,
            confirmed=found.confirmed,
            manages=bool(led) or is_coordinator,
            led=led,
            agencies=sorted(agency_names if is_coordinator else led),
            agency_names=agency_names,
            roles=[role for role in Role if role in AGENCY_ROLES and (led or role is Role.AGENCY_LEAD)],
            moment=moment_formatter(language, city.zone),
            typed=typed or {},
            error=describe_error(language, error) if error else "",
            error_field="name" if isinstance(error, NameInvalid) else "login_name",
        )

    def show_link(request: Request, secret: str, lifetime: timedelta) -> Response:
        return render(
            request,
            "account/new_link.html",
            link=str(request.url_for("invitation", secret=secret)),
            expires_at=utc_now() + lifetime,
            moment=moment_formatter(page_language(request), city.zone),
        )

    @router.get(MEMBERS)
    async def list_members(request: Request, user: _Colleague) -> Response:
        return await show(request, user)

    @router.post(f"{MEMBERS}/invite")
    async def invite(
        request: Request,
        user: _Manager,
        agency: _Typed,
        role: Annotated[Role, Form()],
        name: _Typed = "",
        login_name: _Typed = "",
        language: _Typed = "",
    ) -> Response:
        invitation = Invitation(name, login_name, known_language(language), agency, role)
        try:
            with _answer_as_unknown():
                secret = await members.invite(user, invitation, utc_now())
        except (LoginNameInvalid, LoginNameTaken, NameInvalid) as error:
            typed = {"name": name, "login_name": login_name, "agency": agency, "role": role.value, "language": language}
            return await show(request, user, typed=typed, error=error)
        return show_link(request, secret, INVITATION_LIFETIME)

    @router.post(f"{MEMBERS}/{{account_id}}/role")
    async def change_role(user: _Manager, account_id: UUID, agency: _Typed, role: Annotated[Role, Form()]) -> Response:
        with _answer_as_unknown():
            await members.change_role(user, account_id, agency, role, utc_now())
        return RedirectResponse(MEMBERS, 303)

    @router.post(f"{MEMBERS}/{{account_id}}/end")
    async def end_membership(user: _Manager, account_id: UUID, agency: _Typed) -> Response:
        with _answer_as_unknown():
            await members.end_membership(user, account_id, agency, utc_now())
        return RedirectResponse(MEMBERS, 303)

    _add_recoveries(router, members, show_link)
    web.routes.extend(router.routes)


def _add_recoveries(
    router: APIRouter, members: Members, show_link: Callable[[Request, str, timedelta], Response]
) -> None:
    @router.post(f"{MEMBERS}/{{account_id}}/recovery")
    async def start_recovery(user: _Manager, account_id: UUID, agency: _Typed) -> Response:
        with _answer_as_unknown():
            await members.start_recovery(user, account_id, agency, utc_now())
        return RedirectResponse(MEMBERS, 303)

    @router.post(f"{MEMBERS}/recoveries/{{recovery_id}}/confirm")
    async def confirm_recovery(user: _Colleague, recovery_id: UUID) -> Response:
        with _answer_as_unknown():
            await members.confirm_recovery(user, recovery_id, utc_now())
        return RedirectResponse(MEMBERS, 303)

    @router.post(f"{MEMBERS}/recoveries/{{recovery_id}}/link")
    async def take_recovery_link(request: Request, user: _Manager, recovery_id: UUID) -> Response:
        with _answer_as_unknown():
            secret = await members.take_recovery_link(user, recovery_id, utc_now())
        return show_link(request, secret, RECOVERY_LIFETIME)


@contextmanager
def _answer_as_unknown() -> Iterator[None]:
    """Answers what is not this person's as what does not exist."""
    try:
        yield
    except (NotManaged, RecoveryUnknown) as error:
        raise HTTPException(404) from error

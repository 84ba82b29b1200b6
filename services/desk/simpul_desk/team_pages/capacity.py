"""What an agency can take: its lead states it for each service, and the coordinator sees load and room of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import Role, User, require
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import RoutingApi, ServiceRefused
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import Right, Service

CAPACITY: Final = "/capacity"
_AT_ROUTING: Final = "/capacities"
_DIGITS: Final = 5
"""Of the largest number; Python refuses to read one with thousands of digits."""
_NO_NUMBER: Final = gettext_noop("Enter a whole number of open cases from 1 to 10,000, or leave the field empty.")
_NO_DAY: Final = gettext_noop("Enter a day of the calendar, or leave the field empty.")
_Reader = Annotated[User, Depends(require(Role.AGENCY_LEAD, Role.COORDINATOR))]
_Lead = Annotated[User, Depends(require(Role.AGENCY_LEAD))]


class FieldInvalid(Exception):
    """A field of the form cannot be read; show the form again with the reason."""


@dataclass(frozen=True)
class CapacityPages:
    """Renders what routing knows of capacities."""

    city: City
    routing: RoutingApi

    async def render(
        self, request: Request, user: User, *, problem: str = "", given: FormData | None = None, sent: str = ""
    ) -> Response:
        """Renders the forms of a lead's agencies, and the load of every agency for the coordinator.

        `sent` names the agency and the service of the form that was saved or has a problem.
        """
        language = page_language(request)
        own = {agency: await self._read(user, agency) for agency in sorted(user.agencies_as(Role.AGENCY_LEAD))}
        city = await self._read(user, "") if Role.COORDINATOR in user.city_roles else ()
        return render(
            request,
            "team/capacity.html",
            status=422 if problem else 200,
            own=own,
            rights=_group_by_right(city),
            agency_names={agency.code: agency.name for agency in self.city.agencies},
            problem=problem,
            given=given or {},
            sent=sent,
            Need=Service,
            Right=Right,
            parse=date.fromisoformat,
            wording=Wording(language, self.city.zone, utc_now()),
        )

    async def _read(self, user: User, agency: str) -> Sequence[Mapping[str, Any]]:
        actor = user.act_in(agency) if agency else user.act_as(Role.COORDINATOR)
        found: Sequence[Mapping[str, Any]] = (await self.routing.get(actor, _AT_ROUTING)).content["capacities"]
        return found

    async def state(self, request: Request, user: User, agency: str) -> Response:
        """States what one agency of the lead can take for one service."""
        if agency not in user.agencies_as(Role.AGENCY_LEAD):
            raise HTTPException(404)
        given, language = await request.form(), page_language(request)
        try:
            body = read_form(given)
            await self.routing.call(user.act_in(agency), "PUT", _AT_ROUTING, body=body)
        except FieldInvalid as error:
            problem = load_translations("simpul_desk")[language].gettext(str(error))
        except ServiceRefused as refusal:
            problem = refusal.messages[language]
        else:
            return RedirectResponse(f"{CAPACITY}?done={agency}.{body['service']}", 303)
        return await self.render(request, user, problem=problem, given=given, sent=f"{agency}.{given['service']}")


def add_capacity_pages(web: FastAPI, pages: CapacityPages) -> None:
    """Adds the routes."""

    @web.get(CAPACITY, include_in_schema=False)
    async def capacities(request: Request, user: _Reader, done: str = "") -> Response:
        return await pages.render(request, user, sent=done)

    @web.post(f"{CAPACITY}/{{agency}}", include_in_schema=False)
    async def state(request: Request, user: _Lead, agency: str) -> Response:
        return await pages.state(request, user, agency)


def read_form(given: FormData) -> dict[str, Any]:
    """Reads what was typed; raises FieldInvalid. An empty field sets no limit."""
    service = str(given.get("service", ""))
    number, day = (str(given.get(name, "")).strip() for name in ("max_open_cases", "full_until"))
    if service not in set(Service):
        raise HTTPException(404)
    if number and not (number.isascii() and number.isdigit() and len(number) <= _DIGITS and 1 <= int(number) <= 10_000):
        raise FieldInvalid(_NO_NUMBER)
    try:
        full_until = date.fromisoformat(day).isoformat() if day else None
    except ValueError as error:
        raise FieldInvalid(_NO_DAY) from error
    return {"service": service, "max_open_cases": int(number) if number else None, "full_until": full_until}


def _group_by_right(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, list[Mapping[str, Any]]]:
    """Groups the rows by the right that their service belongs to, in the order of the rights."""
    order = [*(right.value for right in Right), None]
    return {right or "": found for right in order if (found := [row for row in rows if row["right"] == right])}

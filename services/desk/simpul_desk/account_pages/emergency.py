"""The pages of emergency access: ask, confirm as the second person, read the case, and learn of it as a lead."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import SEE_CASES, User, require
from simpul_desk.access.emergency_access import CONFIRM_WITHIN, DURATION, MIN_REASON, EmergencyAccesses
from simpul_desk.access.errors import AccessUnknown, CaseUnknown, ReasonMissing
from simpul_desk.account_pages.texts import describe_error
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import RoutingApi
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_schema.references import case_reference
from simpul_schema.vocabulary import Right, RightState
from simpul_schema.vocabulary import Service as Need

EMERGENCY: Final = "/emergency"
_Colleague = Annotated[User, Depends(require(*SEE_CASES))]
_Typed = Annotated[str, Form(max_length=1_000)]
_MINUTE: Final = 60


@dataclass(frozen=True)
class EmergencyPages:
    """Renders the pages of emergency access."""

    accesses: EmergencyAccesses
    routing: RoutingApi
    city: City
    state_names: Mapping[str, str]
    """Name of each state of a service."""

    async def render_lists(
        self, request: Request, user: User, *, typed: Mapping[str, str] | None = None, error: Exception | None = None
    ) -> Response:
        """Renders what a person asked for, may confirm and has to read, and the form."""
        return render(
            request,
            "account/emergency.html",
            status=422 if error else 200,
            lists=await self.accesses.list(user, utc_now()),
            may_request=sorted(user.agencies_as(*SEE_CASES)),
            typed=typed or {},
            error=describe_error(page_language(request), error) if error else "",
            error_field="reason" if isinstance(error, ReasonMissing) else "reference",
            min_reason=MIN_REASON,
            minutes=int(DURATION.total_seconds()) // _MINUTE,
            wait=int(CONFIRM_WITHIN.total_seconds()) // _MINUTE,
            **self._terms(request),
        )

    async def render_case(self, request: Request, user: User, case_id: UUID) -> Response:
        """Renders a case that an access opened; nothing on it can be changed."""
        with answer_as_unknown():
            access = await self.accesses.read_case(user, case_id, utc_now())
        actor = user.act_in_emergency(access.agency)
        case, timeline = await asyncio.gather(
            self.routing.get(actor, f"/cases/{case_id}"),
            self.routing.get(actor, f"/cases/{case_id}/timeline", language=page_language(request)),
        )
        return render(
            request,
            "account/emergency_case.html",
            access=access,
            case=case.content,
            timeline=timeline.content,
            Right=Right,
            RightState=RightState,
            Need=Need,
            state_names=self.state_names,
            **self._terms(request),
        )

    def _terms(self, request: Request) -> dict[str, Any]:
        return {
            "wording": Wording(page_language(request), self.city.zone, utc_now()),
            "case_reference": case_reference,
            "parse": datetime.fromisoformat,
            "agency_names": {agency.code: agency.name for agency in self.city.agencies},
        }


def add_emergency_pages(web: FastAPI, pages: EmergencyPages) -> None:
    """Registers the routes."""

    @web.get(EMERGENCY, include_in_schema=False)
    async def lists(request: Request, user: _Colleague) -> Response:
        return await pages.render_lists(request, user)

    @web.post(EMERGENCY, include_in_schema=False)
    async def request_access(
        request: Request, user: _Colleague, agency: _Typed = "", reference: _Typed = "", reason: _Typed = ""
    ) -> Response:
        try:
            with answer_as_unknown():
                await pages.accesses.request(user, agency, reference, reason, utc_now())
        except (CaseUnknown, ReasonMissing) as error:
            typed = {"agency": agency, "reference": reference, "reason": reason}
            return await pages.render_lists(request, user, typed=typed, error=error)
        return RedirectResponse(EMERGENCY, 303)

    @web.get(f"{EMERGENCY}/cases/{{case_id}}", include_in_schema=False)
    async def case(request: Request, user: _Colleague, case_id: UUID) -> Response:
        return await pages.render_case(request, user, case_id)

    changes: Mapping[str, Callable[..., Any]] = {
        "confirm": pages.accesses.confirm,
        "end": pages.accesses.end,
        "read": pages.accesses.acknowledge,
    }

    @web.post(f"{EMERGENCY}/{{access_id}}/{{change}}", include_in_schema=False)
    async def change_access(user: _Colleague, access_id: UUID, change: str) -> Response:
        if change not in changes:
            raise HTTPException(404)
        with answer_as_unknown():
            await changes[change](user, access_id, utc_now())
        return RedirectResponse(EMERGENCY, 303)


@contextmanager
def answer_as_unknown() -> Iterator[None]:
    """Answers what is not this person's as what does not exist."""
    try:
        yield
    except AccessUnknown as error:
        raise HTTPException(404) from error

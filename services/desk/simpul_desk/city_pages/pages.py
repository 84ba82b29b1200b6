"""What all pages of the city share: the person at routing, templates with their terms, and which cases are left out."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk import repository
from simpul_desk.access import Actor, Role, User, require
from simpul_desk.city_pages.board import RIGHT_MARKS, RIGHT_NAMES, BoardCase, group_by_case
from simpul_desk.city_pages.texts import (
    CASE_STATES,
    RIGHT_REASONS,
    SERVICE_STATES,
    TRANSFER_STATES,
    TRANSFER_SUBJECTS,
    TRANSFER_WAYS,
)
from simpul_desk.live import LiveChannels
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import Answer, RoutingApi
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import DossierSection, ParkReason, Right, RightState, Urgency
from simpul_schema.vocabulary import Service as Need

MAX_LINES: Final = 200
MAX_CASES: Final = 50
MAX_WITHOUT: Final = 200
PAGE: Final = 50
LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "triage": ("/triage", "triage"),
    "plans": ("/service-plans", "plans"),
    "duplicates": ("/suspected-overlaps", "overlaps"),
    "exclusions": ("/suggested-exclusions", "cases"),
}
"""Page -> path at routing, and the name of its lines."""
Coordinator = Annotated[User, Depends(require(Role.COORDINATOR))]
Lead = Annotated[User, Depends(require(Role.AGENCY_LEAD))]


@dataclass(frozen=True)
class CityPages:
    """Renders the pages of people who look after many cases."""

    service: Service
    city: City
    live: LiveChannels
    routing: RoutingApi

    @property
    def agency_names(self) -> Mapping[str, str]:
        """Code -> name."""
        return {agency.code: agency.name for agency in self.city.agencies}

    def wording(self, request: Request) -> Wording:
        """Returns how times are written on the page that answers a request."""
        return Wording(page_language(request), self.city.zone, utc_now())

    def render(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Renders a template with what all of these pages use."""
        terms: dict[str, Any] = {
            "wording": self.wording(request),
            **_TERMS,
            "agency_names": self.agency_names,
        }
        return render(request, template, status=status, **(terms | values))

    async def read(self, user: User, path: str, acting: str = "", **query: str | int | None) -> Answer:
        """Reads a path of routing as the person, without the cases that are kept from them.

        `acting` is the agency in which they act; without it they act as the city's coordinator.
        """
        # Routing takes so many; the rows of any others are left out by `leave_out`.
        without = ",".join(str(case_id) for case_id in sorted(user.excluded_cases)[:MAX_WITHOUT])
        return await self.routing.get(actor_of(user, acting), path, without=without, **query)

    async def load_board(self, actor: Actor, hidden: Collection[UUID] = ()) -> list[BoardCase]:
        """Loads the cases that press most, as far as the person may know of them, without those kept from them."""
        lines = await repository.load_board(self.service.engine, MAX_LINES)
        cases = group_by_case([line for line in lines if line.case_id not in hidden], MAX_CASES)
        if not cases:
            return []
        ids = ",".join(str(case.case_id) for case in cases)
        answer = await self.routing.get(actor, "/cases", ids=ids, limit=MAX_CASES)
        shown = {row["case_id"]: row for row in answer.content["cases"]}
        return [replace(case, shown=shown[str(case.case_id)]) for case in cases if str(case.case_id) in shown]

    async def count_lists(self, user: User) -> dict[str, int]:
        """Counts what waits for a decision, without the cases that are kept from the person."""
        paths = ["/cases", *(path for path, _ in LISTS.values())]
        answers = await asyncio.gather(*(self.read(user, path, limit=1) for path in paths))
        return dict(zip(("cases", *LISTS), (answer.content["total"] for answer in answers), strict=True))


_TERMS: Final[Mapping[str, Any]] = {
    "case_reference": case_reference,
    "referral_code": referral_code,
    "Need": Need,
    "Urgency": Urgency,
    "Right": Right,
    "RightState": RightState,
    "ParkReason": ParkReason,
    "DossierSection": DossierSection,
    "right_names": RIGHT_NAMES,
    "right_marks": RIGHT_MARKS,
    "case_states": CASE_STATES,
    "service_states": SERVICE_STATES,
    "right_reasons": RIGHT_REASONS,
    "transfer_states": TRANSFER_STATES,
    "transfer_subjects": TRANSFER_SUBJECTS,
    "transfer_ways": TRANSFER_WAYS,
    "parse": datetime.fromisoformat,
    "seconds": lambda number: timedelta(seconds=number),
    "all_services": tuple(Need),
}


def actor_of(user: User, agency: str = "") -> Actor:
    """Returns as whom the person acts: in the named agency, or else as the city's coordinator.

    Whoever is neither gets the answer of a page that does not exist.
    """
    if agency and agency in user.memberships:
        return user.act_in(agency)
    if Role.COORDINATOR in user.city_roles:
        return user.act_as(Role.COORDINATOR)
    raise HTTPException(404)


def leave_out(user: User, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leaves out the rows of routing about a case, or about two, of which one is kept from the person."""
    hidden = {str(case_id) for case_id in user.excluded_cases}
    return [row for row in rows if hidden.isdisjoint((row["case_id"], row.get("other_case_id")))]

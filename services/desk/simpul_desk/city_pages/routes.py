"""The routes of the city board, cases, decisions and machines; every one of them acts at routing as the person."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_agreement.model import ClockName
from simpul_city import City
from simpul_desk import repository
from simpul_desk.access import Actor, CurrentUser, Role, User, recheck_access, require
from simpul_desk.city_pages.board import RIGHT_MARKS, RIGHT_NAMES, BoardCase, group_by_case
from simpul_desk.city_pages.chains import find_chains
from simpul_desk.hosting import repository as worklists
from simpul_desk.live import CITY, Listener, LiveChannels, event_stream
from simpul_desk.papers import Letter, LetterDeadline, LetterService, Printer, Recap, write_letter, write_recap
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import Answer, RoutingApi, ServiceRefused, ServiceUnavailable
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.names import subject_of_case, subject_of_referral
from simpul_schema.references import case_reference, referral_code
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import (
    ActorRole,
    AgeBand,
    DossierSection,
    ParkReason,
    Right,
    RightState,
    Urgency,
    Violence,
)
from simpul_schema.vocabulary import Answer as SafeAnswer
from simpul_schema.vocabulary import Service as Need

MAX_LINES: Final = 200
MAX_CASES: Final = 50
MAX_WITHOUT: Final = 200
PAGE: Final = 50
_LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "triage": ("/triage", "triage"),
    "plans": ("/service-plans", "plans"),
    "duplicates": ("/suspected-overlaps", "overlaps"),
    "exclusions": ("/suggested-exclusions", "cases"),
}
"""Page -> path at routing, and the name of its lines."""
CASE_STATES: Final[Mapping[str, str]] = {
    "received": gettext_noop("received"),
    "triage": gettext_noop("in triage"),
    "assessment": gettext_noop("in assessment"),
    "service_plan": gettext_noop("service plan"),
    "intervention": gettext_noop("being served"),
    "monitoring": gettext_noop("in monitoring"),
    "terminated": gettext_noop("ended"),
}
SERVICE_STATES: Final[Mapping[str, str]] = {
    "offered": gettext_noop("sent"),
    "delivered": gettext_noop("delivered"),
    "seen": gettext_noop("seen"),
    "accepted": gettext_noop("accepted"),
    "declined": gettext_noop("declined"),
    "rerouted": gettext_noop("passed on to another agency"),
    "scheduled": gettext_noop("appointment made"),
    "unattended": gettext_noop("the child did not come"),
    "in_progress": gettext_noop("being served"),
    "completed": gettext_noop("completed"),
    "cancelled": gettext_noop("cancelled"),
    "revoked": gettext_noop("no longer needed"),
    "entered_in_error": gettext_noop("entered in error"),
}
DONE: Final[Mapping[str, str]] = {
    "plan": gettext_noop("The plan is confirmed. The agencies receive their services now."),
    "offer": gettext_noop("The service was offered to the agency."),
    "questions": gettext_noop("The question was sent. The answer is added to the dossier."),
    "exclusions": gettext_noop("Your decision about the agency was recorded."),
    "overlaps": gettext_noop("Your decision about the duplicate was recorded."),
}
"""First part of the path of a form about a case -> what the person reads when it was done."""
RIGHT_REASONS: Final[Mapping[str, str]] = {
    "agreement": gettext_noop("as a clause of the agreement says"),
    "outcome": gettext_noop("as the agency reported"),
    "awaits_decision": gettext_noop("waits for the decision about an agency that may be too close"),
    "by_hand": gettext_noop("a person decided it; the reason stands under What happened"),
}
"""Why a right stands where it does, by routing's code."""
MAY_RECORD_CONSENT: Final = frozenset({ActorRole.COORDINATOR, ActorRole.CASE_MANAGER, ActorRole.AGENCY_LEAD})
"""Whom routing lets read, record and withdraw consents."""
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
        return [
            replace(case, shown=shown[str(case.case_id)]) for case in cases if str(case.case_id) in shown
        ]  # fmt: skip

    async def count_lists(self, user: User) -> dict[str, int]:
        """Counts what waits for a decision, without the cases that are kept from the person."""
        paths = ["/cases", *(path for path, _ in _LISTS.values())]
        answers = await asyncio.gather(*(self.read(user, path, limit=1) for path in paths))
        return dict(zip(("cases", *_LISTS), (answer.content["total"] for answer in answers), strict=True))

    async def render_case(
        self, request: Request, user: User, case_id: UUID, acting: str, refused: "RefusedForm | None" = None,
        done: str = "",
    ) -> Response:  # fmt: skip
        """Renders the page of a case; `refused` is a form that routing refused, whose words are shown again.

        `done` is the form that was done, a key of DONE.
        """
        actor = actor_of(user, acting)
        if user.is_excluded(case_id):
            raise HTTPException(404)
        answer = await self.read(user, f"/cases/{case_id}", acting)
        language = page_language(request)
        timeline, notes, plan = await asyncio.gather(
            self.routing.get(actor, f"/cases/{case_id}/timeline", language=language),
            self.routing.get(actor, f"/cases/{case_id}/notes"),
            self._find_plan(actor, case_id, answer, language),
        )
        return self.render(
            request, "city/case.html", status=refused.status if refused else 200, case=answer.content,
            version=answer.version, timeline=timeline.content, notes=notes.content, plan=plan,
            chains=find_chains(answer.content["referrals"]), acting=acting,
            refused=refused, done=DONE.get(done, ""),
            may_decide=actor.role.value in ("coordinator", "case_manager"),
            lettered={one["referral_id"] for one in answer.content["referrals"]
                      if any(map(_stands_in_letter, one["services"]))},
            facts=_describe_facts(answer.content["facts"], language), agency_numbers=self.city.agency_numbers,
            max_question=MAX_QUESTION, may_record_consent=actor.role in MAY_RECORD_CONSENT,
        )  # fmt: skip

    async def print_recap(self, request: Request, user: User, case_id: UUID) -> Response:
        """Prints the recap of a case for the city's coordinator."""
        case, language = await self._read_case(user, case_id), page_language(request)
        actor = user.act_as(Role.COORDINATOR)
        timeline = await self.routing.get(
            actor, f"/cases/{case_id}/timeline", language=language, for_print="true"
        )  # fmt: skip
        translate = load_translations("simpul_desk")[language].gettext
        services = [(referral, one) for referral in case["referrals"] for one in referral["services"]]
        recap = Recap(
            case["reference"], self.agency_names[actor.agency], translate(CASE_STATES[case["state"]]),
            datetime.fromisoformat(case["decided_at"]),
            [(Right(name).label(language), RightState(one["state"]).label(language))
             for name, one in case["rights"].items()],
            [(f"{referral['agency_name']} ({referral['code']})", Need(one["service"]).label(language),
              translate(SERVICE_STATES[one["state"]])) for referral, one in services],
            [(datetime.fromisoformat(one["at"]), one["text"]) for one in timeline.content],
        )  # fmt: skip
        return await Printer(self.service.engine).print(
            request, user, write_recap(recap, self.city.name, self.wording(request)), kind="recap",
            agency=actor.agency, subject=subject_of_case(case_id), services=[one["service"] for _, one in services],
            language=language,
        )  # fmt: skip

    async def print_letter(self, request: Request, user: User, case_id: UUID, referral_id: UUID) -> Response:
        """Prints the letter of a referral, to be signed by the agency of the city's coordinator."""
        case, language = await self._read_case(user, case_id), page_language(request)
        referral = next((one for one in case["referrals"] if one["referral_id"] == str(referral_id)), None)
        services = [one for one in referral["services"] if _stands_in_letter(one)] if referral else []
        if referral is None or not services:
            raise HTTPException(404)
        issuer = user.act_as(Role.COORDINATOR).agency
        letter = Letter(
            referral["code"], case["reference"], self.agency_names[issuer], referral["agency_name"],
            case["agreement"], min(datetime.fromisoformat(one["offered_at"]) for one in services),
            [LetterService(Need(one["service"]).label(language), Urgency(one["urgency"]).label(language),
                           _list_running([*referral["clocks"], *one["clocks"]], language)) for one in services],
        )  # fmt: skip
        paper = write_letter(letter, self.city.name, self.wording(request), is_copy=False)
        return await Printer(self.service.engine).print(
            request, user, paper, kind="letter", agency=issuer, subject=subject_of_referral(referral_id),
            services=[one["service"] for one in services], language=language,
        )  # fmt: skip

    async def _read_case(self, user: User, case_id: UUID) -> Any:
        if user.is_excluded(case_id):
            raise HTTPException(404)
        return (await self.read(user, f"/cases/{case_id}")).content

    async def change_case(
        self, request: Request, user: User, case_id: UUID, path: str, body: Mapping[str, Any], method: str = "POST"
    ) -> Response:
        """Changes a case at routing as the person; shows the page again with what they typed if routing refuses."""
        given = await request.form()
        acting, version = str(given.get("acting", "")), str(given.get("version", ""))
        if user.is_excluded(case_id):
            raise HTTPException(404)
        actor = actor_of(user, acting)
        form = request.url.path.partition(f"{case_id}/")[2]
        try:
            await self.routing.call(actor, method, f"/cases/{case_id}/{path}", body=body, version=version)
        except ServiceRefused as refusal:
            if refusal.is_unknown:
                raise
            refused = RefusedForm(form, given, refusal.status, refusal.messages[page_language(request)])
            return await self.render_case(request, user, case_id, acting, refused)
        done = urlencode({"done": form.partition("/")[0]} | ({"acting": acting} if acting else {}))
        return RedirectResponse(f"{address_of_case(case_id, '')}?{done}", 303)

    async def _find_plan(self, actor: Actor, case_id: UUID, case: Answer, language: str) -> Any:
        if not case.content["service_plan"]:
            return None
        try:
            answer = await self.routing.get(actor, f"/cases/{case_id}/service-plan", language=language)
        except ServiceRefused:
            return None
        return answer.content


@dataclass(frozen=True)
class RefusedForm:
    """A form about a case that routing refused, for example because the case changed meanwhile."""

    path: str
    """What the form is about, such as `offer` or `exclusions/rs-rujukan`."""
    given: FormData
    status: int
    text: str
    """Why, in the language of the reader."""

    def typed(self, path: str, name: str) -> str:
        """What was typed in a field; empty in any other form."""
        return str(self.given.get(name, "")) if path == self.path else ""


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
    "parse": datetime.fromisoformat,
    "seconds": lambda number: timedelta(seconds=number),
    "all_services": tuple(Need),
}


def _list_running(clocks: Sequence[Mapping[str, Any]], language: str) -> tuple[LetterDeadline, ...]:
    """Lists the deadlines that run, the earliest first, without the one for the agency's machine."""
    running = [
        LetterDeadline(ClockName(one["clock"]).label(language), datetime.fromisoformat(one["due_at"]))
        for one in clocks
        if not one["stopped_at"] and one["clock"] != ClockName.RECEIPT
    ]
    return tuple(sorted(running, key=lambda one: one.due_at or datetime.max.replace(tzinfo=UTC)))


def _describe_facts(facts: Mapping[str, Any] | None, language: str) -> Mapping[str, str]:
    """Writes what routing shows of a child to this person; empty where it shows nothing."""
    if facts is None:
        return {}
    return {
        "violence": ", ".join(Violence(kind).label(language) for kind in facts["violence"]),
        "age": AgeBand(facts["age_band"]).label(language),
        "safe_now": SafeAnswer(facts["safe_now"]).label(language),
    }


def _stands_in_letter(service: Mapping[str, Any]) -> bool:
    """Whether the agency is to provide a service, or has provided it."""
    return not service["ended_at"] or service["state"] == "completed"


def actor_of(user: User, agency: str = "") -> Actor:
    """Returns as whom the person acts: in the named agency, or else as the city's coordinator.

    Whoever is neither gets the answer of a page that does not exist.
    """
    if agency and agency in user.memberships:
        return user.act_in(agency)
    if Role.COORDINATOR in user.city_roles:
        return user.act_as(Role.COORDINATOR)
    raise HTTPException(404)


def address_of_case(case_id: UUID, acting: str, page: str = "") -> str:
    """Returns the address of a page of a case for somebody who acts in an agency, or as the city's coordinator."""
    return f"/city/cases/{case_id}{page}" + (f"?acting={acting}" if acting else "")


def leave_out(user: User, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leaves out the rows of routing about a case, or about two, of which one is kept from the person."""
    hidden = {str(case_id) for case_id in user.excluded_cases}
    return [row for row in rows if hidden.isdisjoint((row["case_id"], row.get("other_case_id")))]


def add_city_pages(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""
    _add_board(web, pages)
    _add_cases(web, pages)
    _add_decisions(web, pages)
    _add_team(web, pages)

    @web.exception_handler(ServiceUnavailable)
    async def explain_outage(request: Request, _: ServiceUnavailable) -> Response:
        return pages.render(request, "city/unavailable.html", status=503)

    @web.exception_handler(ServiceRefused)
    async def explain_refusal(request: Request, refusal: ServiceRefused) -> Response:
        if refusal.is_unknown:
            raise HTTPException(404)
        text = refusal.messages[page_language(request)]
        return pages.render(request, "city/refused.html", status=refusal.status, text=text)


def _add_board(web: FastAPI, pages: CityPages) -> None:
    @web.get("/city", include_in_schema=False)
    async def board(request: Request, user: Coordinator) -> Response:
        actor = user.act_as(Role.COORDINATOR)
        cases, counts = await asyncio.gather(pages.load_board(actor, user.excluded_cases), pages.count_lists(user))
        return pages.render(request, "city/board.html", cases=cases, counts=counts)

    @web.get("/city/cases", include_in_schema=False)
    async def all_cases(request: Request, user: Coordinator, after: str = "") -> Response:
        answer = await pages.read(user, "/cases", after=after, limit=PAGE)
        page = answer.content
        return pages.render(request, "city/cases.html", page=page | {"cases": leave_out(user, page["cases"])})

    @web.get("/city/machines", include_in_schema=False)
    async def machines(request: Request, user: Coordinator) -> Response:
        answer = await pages.routing.get(user.act_as(Role.COORDINATOR), "/operations")
        return pages.render(request, "city/machines.html", found=answer.content)

    @web.get("/city/live", include_in_schema=False)
    async def live(request: Request, user: Coordinator) -> StreamingResponse:
        may_listen = recheck_access(request, lambda person: Role.COORDINATOR in person.roles)
        return event_stream(pages.live, CITY, Listener(user.id, user.name, may_listen))

    @web.get("/city/{name}", include_in_schema=False)
    async def decisions(request: Request, user: Coordinator, name: str, after: str = "") -> Response:
        if name not in _LISTS:
            raise HTTPException(404)
        path, key = _LISTS[name]
        answer = await pages.read(user, path, after=after, limit=PAGE)
        page = answer.content
        lines = leave_out(user, page[key])
        return pages.render(request, f"city/{name}.html", lines=lines, total=page["total"], next=page["next"])


def _add_cases(web: FastAPI, pages: CityPages) -> None:
    @web.post("/city/cases/{case_id}/recap", include_in_schema=False)
    async def recap(request: Request, user: Coordinator, case_id: UUID) -> Response:
        return await pages.print_recap(request, user, case_id)

    @web.post("/city/cases/{case_id}/letters/{referral_id}", include_in_schema=False)
    async def letter(request: Request, user: Coordinator, case_id: UUID, referral_id: UUID) -> Response:
        return await pages.print_letter(request, user, case_id, referral_id)

    @web.get("/city/cases/{case_id}", include_in_schema=False)
    async def case(request: Request, user: CurrentUser, case_id: UUID, acting: str = "", done: str = "") -> Response:
        return await pages.render_case(request, user, case_id, acting, done=done)


def _add_decisions(web: FastAPI, pages: CityPages) -> None:
    @web.post("/city/cases/{case_id}/plan", include_in_schema=False)
    async def confirm_plan(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        reason = str(given.get("reason", ""))
        proposed, kept = given.getlist("proposed"), given.getlist("kept")
        left_out = [{"service": code, "reason": reason} for code in proposed if code not in kept]
        return await pages.change_case(request, user, case_id, "service-plan/confirm", {"left_out": left_out})

    @web.post("/city/cases/{case_id}/offer", include_in_schema=False)
    async def offer(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {name: str(given.get(name, "")) for name in ("service", "agency", "reason")}
        if given.get("settles"):
            body["settles"] = str(given["settles"])
        return await pages.change_case(request, user, case_id, "referrals", body)

    @web.post("/city/cases/{case_id}/questions", include_in_schema=False)
    async def send_question(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {"question": str(given.get("question", ""))}
        return await pages.change_case(request, user, case_id, "questions", body)

    @web.post("/city/cases/{case_id}/exclusions/{agency}", include_in_schema=False)
    async def decide_exclusion(request: Request, user: CurrentUser, case_id: UUID, agency: str) -> Response:
        given = await request.form()
        body = {"decision": str(given.get("decision", "")), "reason": str(given.get("reason", ""))}
        return await pages.change_case(request, user, case_id, f"suggested-exclusions/{agency}", body, "PUT")

    @web.post("/city/cases/{case_id}/overlaps/{overlap_id}", include_in_schema=False)
    async def settle_overlap(request: Request, user: Coordinator, case_id: UUID, overlap_id: UUID) -> Response:
        given = await request.form()
        reason = str(given.get("reason", ""))
        case = (await pages.routing.get(user.act_as(Role.COORDINATOR), f"/cases/{case_id}")).content
        suspected = [one for one in case["suspected_overlaps"] if one["overlap_id"] == str(overlap_id)]
        if leave_out(user, suspected) != suspected or _names_hidden(user, str(given.get("into", ""))):
            raise HTTPException(404)
        if given.get("decision") == "merge":
            return await pages.change_case(
                request, user, case_id, "merge", {"into": str(given.get("into", "")), "reason": reason}
            )
        return await pages.change_case(request, user, case_id, f"overlaps/{overlap_id}/dismiss", {"reason": reason})


def _names_hidden(user: User, into: str) -> bool:
    """Whether a form names a case that is kept from the person, however its id is written."""
    try:
        return user.is_excluded(UUID(into))
    except ValueError:
        return False


def _add_team(web: FastAPI, pages: CityPages) -> None:
    @web.get("/team", include_in_schema=False)
    async def team(request: Request, user: Lead) -> Response:
        agencies = sorted(user.agencies_as(Role.AGENCY_LEAD))
        async with pages.service.engine.connect() as connection:
            loads = await worklists.count_load(connection, agencies, user.excluded_cases, utc_now())
            entries, _ = await worklists.list_entries(connection, agencies, user.id, user.excluded_cases, PAGE)
        now = utc_now()
        late = [entry for entry in entries if entry.due_at and entry.due_at <= now]
        return pages.render(request, "city/team.html", agencies=agencies, loads=loads, late=late)

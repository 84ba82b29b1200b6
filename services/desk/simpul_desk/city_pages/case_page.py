"""The page of a case and the decisions about it; each acts at routing as the person."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_desk.access import Actor, CurrentUser, Role, User
from simpul_desk.city_pages.case_papers import stands_in_letter
from simpul_desk.city_pages.chains import find_chains
from simpul_desk.city_pages.pages import CityPages, Coordinator, actor_of, leave_out
from simpul_desk.city_pages.texts import DONE
from simpul_desk.rendering import page_language
from simpul_desk.service_api import Answer, ServiceRefused
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.vocabulary import ActorRole, AgeBand, CaseEnd, Violence
from simpul_schema.vocabulary import Answer as SafeAnswer

MAY_RECORD_CONSENT: Final = frozenset({ActorRole.COORDINATOR, ActorRole.CASE_MANAGER, ActorRole.AGENCY_LEAD})
"""Whom routing lets read, record and withdraw consents."""

WRITTEN: Final = ("reason", "question", "party", "address", "name", "office")
"""The fields of the forms about a case in which a person writes."""


@dataclass(frozen=True)
class RefusedForm:
    """A form about a case that routing refused, for example because the case changed meanwhile."""

    path: str
    """What the form is about, such as `offer` or `exclusions/rs-rujukan`."""
    given: FormData
    status: int
    text: str
    """Why, in the language of the reader."""

    @property
    def written(self) -> list[str]:
        """What the person wrote; it is shown apart from the form, which may be gone when the case has changed."""
        return [str(self.given[name]) for name in WRITTEN if self.given.get(name)]

    def typed(self, path: str, name: str) -> str:
        """What was typed in a field; empty in any other form."""
        return str(self.given.get(name, "")) if path == self.path else ""


async def render_case(
    pages: CityPages,
    request: Request,
    user: User,
    case_id: UUID,
    acting: str,
    refused: RefusedForm | None = None,
    done: str = "",
) -> Response:
    """Renders the page of a case; `refused` is a form that routing refused, whose words are shown again.

    `done` is the form that was done, a key of DONE.
    """
    actor = actor_of(user, acting)
    if user.is_excluded(case_id):
        raise HTTPException(404)
    answer = await pages.read(user, f"/cases/{case_id}", acting)
    language = page_language(request)
    timeline, notes, plan = await asyncio.gather(
        pages.routing.get(actor, f"/cases/{case_id}/timeline", language=language),
        pages.routing.get(actor, f"/cases/{case_id}/notes"),
        _find_plan(pages, actor, case_id, answer, language),
    )
    return pages.render(
        request,
        "city/case.html",
        status=refused.status if refused else 200,
        case=answer.content,
        version=answer.version,
        timeline=timeline.content,
        notes=notes.content,
        plan=plan,
        chains=find_chains(answer.content["referrals"]),
        acting=acting,
        refused=refused,
        done=DONE.get(done, ""),
        may_decide=actor.role.value in ("coordinator", "case_manager"),
        lettered={
            one["referral_id"] for one in answer.content["referrals"] if any(map(stands_in_letter, one["services"]))
        },
        facts=_describe_facts(answer.content["facts"], language),
        agency_numbers=pages.city.agency_numbers,
        max_question=MAX_QUESTION,
        may_record_consent=actor.role in MAY_RECORD_CONSENT,
        CaseEnd=CaseEnd,
    )


async def change_case(
    pages: CityPages,
    request: Request,
    user: User,
    case_id: UUID,
    path: str,
    body: Mapping[str, Any],
    method: str = "POST",
) -> Response:
    """Changes a case at routing as the person; shows the page again with what they typed if routing refuses."""
    given = await request.form()
    acting, version = str(given.get("acting", "")), str(given.get("version", ""))
    if user.is_excluded(case_id):
        raise HTTPException(404)
    actor = actor_of(user, acting)
    form = request.url.path.partition(f"{case_id}/")[2]
    try:
        await pages.routing.call(actor, method, f"/cases/{case_id}/{path}", body=body, version=version)
    except ServiceRefused as refusal:
        if refusal.is_unknown:
            raise
        refused = RefusedForm(form, given, refusal.status, refusal.messages[page_language(request)])
        return await render_case(pages, request, user, case_id, acting, refused)
    done = urlencode({"done": form.partition("/")[0]} | ({"acting": acting} if acting else {}))
    return RedirectResponse(f"{address_of_case(case_id, '')}?{done}", 303)


async def _find_plan(pages: CityPages, actor: Actor, case_id: UUID, case: Answer, language: str) -> Any:
    if not case.content["service_plan"]:
        return None
    try:
        answer = await pages.routing.get(actor, f"/cases/{case_id}/service-plan", language=language)
    except ServiceRefused:
        return None
    return answer.content


def _describe_facts(facts: Mapping[str, Any] | None, language: str) -> Mapping[str, str]:
    """Writes what routing shows of a child to this person; empty where it shows nothing."""
    if facts is None:
        return {}
    return {
        "violence": ", ".join(Violence(kind).label(language) for kind in facts["violence"]),
        "age": AgeBand(facts["age_band"]).label(language),
        "safe_now": SafeAnswer(facts["safe_now"]).label(language),
    }


def address_of_case(case_id: UUID, acting: str, page: str = "") -> str:
    """Returns the address of a page of a case for somebody who acts in an agency, or as the city's coordinator."""
    return f"/city/cases/{case_id}{page}" + (f"?acting={acting}" if acting else "")


def add_case_page(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.get("/city/cases/{case_id}", include_in_schema=False)
    async def case(request: Request, user: CurrentUser, case_id: UUID, acting: str = "", done: str = "") -> Response:
        return await render_case(pages, request, user, case_id, acting, done=done)

    _add_decisions(web, pages)
    _add_ends(web, pages)


def _add_decisions(web: FastAPI, pages: CityPages) -> None:
    @web.post("/city/cases/{case_id}/plan", include_in_schema=False)
    async def confirm_plan(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        reason = str(given.get("reason", ""))
        proposed, kept = given.getlist("proposed"), given.getlist("kept")
        left_out = [{"service": code, "reason": reason} for code in proposed if code not in kept]
        return await change_case(pages, request, user, case_id, "service-plan/confirm", {"left_out": left_out})

    @web.post("/city/cases/{case_id}/offer", include_in_schema=False)
    async def offer(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {name: str(given.get(name, "")) for name in ("service", "agency", "reason")}
        if given.get("settles"):
            body["settles"] = str(given["settles"])
        return await change_case(pages, request, user, case_id, "referrals", body)

    @web.post("/city/cases/{case_id}/questions", include_in_schema=False)
    async def send_question(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {"question": str(given.get("question", ""))}
        return await change_case(pages, request, user, case_id, "questions", body)

    @web.post("/city/cases/{case_id}/exclusions", include_in_schema=False)
    async def exclude(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {name: str(given.get(name, "")) for name in ("agency", "reason")}
        return await change_case(pages, request, user, case_id, "exclusions", body)

    @web.post("/city/cases/{case_id}/exclusions/{agency}", include_in_schema=False)
    async def decide_exclusion(request: Request, user: CurrentUser, case_id: UUID, agency: str) -> Response:
        given = await request.form()
        body = {"decision": str(given.get("decision", "")), "reason": str(given.get("reason", ""))}
        return await change_case(pages, request, user, case_id, f"suggested-exclusions/{agency}", body, "PUT")

    @web.post("/city/cases/{case_id}/overlaps/{overlap_id}", include_in_schema=False)
    async def settle_overlap(request: Request, user: Coordinator, case_id: UUID, overlap_id: UUID) -> Response:
        given = await request.form()
        reason = str(given.get("reason", ""))
        case = (await pages.routing.get(user.act_as(Role.COORDINATOR), f"/cases/{case_id}")).content
        suspected = [one for one in case["suspected_overlaps"] if one["overlap_id"] == str(overlap_id)]
        if leave_out(user, suspected) != suspected or _names_hidden(user, str(given.get("into", ""))):
            raise HTTPException(404)
        if given.get("decision") == "merge":
            return await change_case(
                pages, request, user, case_id, "merge", {"into": str(given.get("into", "")), "reason": reason}
            )
        return await change_case(pages, request, user, case_id, f"overlaps/{overlap_id}/dismiss", {"reason": reason})


def _add_ends(web: FastAPI, pages: CityPages) -> None:
    @web.post("/city/cases/{case_id}/close", include_in_schema=False)
    async def close(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        body = {name: str(given.get(name, "")) for name in ("end", "reason")}
        return await change_case(pages, request, user, case_id, "close", body)

    @web.post("/city/cases/{case_id}/reopen", include_in_schema=False)
    async def reopen(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        given = await request.form()
        return await change_case(pages, request, user, case_id, "reopen", {"reason": str(given.get("reason", ""))})


def _names_hidden(user: User, into: str) -> bool:
    """Whether a form names a case that is kept from the person, however its id is written."""
    try:
        return user.is_excluded(UUID(into))
    except ValueError:
        return False

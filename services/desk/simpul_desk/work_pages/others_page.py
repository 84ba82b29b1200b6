"""Who else acts for the child, and the questions to the agency that referred it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from simpul_desk.access import Actor, CurrentUser, User
from simpul_desk.hosting.agencies import OpenReferral
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import ServiceRefused, ServiceUnavailable
from simpul_desk.work_pages.pages import TERMS, WorkPages
from simpul_desk.work_pages.texts import CASE_STATES, QUESTION_NOT_SENT
from simpul_schema.translations import load_translations


def add_others_page(web: FastAPI, pages: WorkPages) -> None:
    """Adds the routes."""

    @web.get("/work/{agency}/{referral_id}/others", include_in_schema=False)
    async def others(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await render_others(pages, request, user, agency, found)

    @web.post("/work/{agency}/{referral_id}/question", include_in_schema=False)
    async def question(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        return await send_question(pages, request, user, agency, found)


async def render_others(pages: WorkPages, request: Request, user: User, code: str, found: OpenReferral) -> Response:
    """Renders who else acts for the child, as far as routing shows it to the person."""
    case_id, actor = found.view.first.data.case_id, user.act_in(code)
    try:
        case = (await pages.routing.get(actor, f"/cases/{case_id}")).content
        notes = (await pages.routing.get(actor, f"/cases/{case_id}/notes")).content
        questions = (await _list_questions(pages, actor, found)) if _helps(found) else ()
    except (ServiceUnavailable, ServiceRefused):
        case, notes, questions = None, (), ()
    template = "work/others.html" if request.headers.get("hx-request") else "work/others_page.html"
    return render(
        request,
        template,
        case=case,
        notes=notes,
        questions=questions,
        helps=_helps(found),
        question_id=uuid4(),
        agency=code,
        view=found.view,
        case_states=CASE_STATES,
        agency_numbers=pages.city.agency_numbers,
        wording=pages.wording(request),
        parse=datetime.fromisoformat,
        **TERMS,
    )


async def send_question(pages: WorkPages, request: Request, user: User, code: str, found: OpenReferral) -> Response:
    """Sends a question to the agency that referred the child; shows it again if routing does not take it."""
    given = await request.form()
    question = str(given.get("question", "")).strip()
    body = {"question_id": str(given.get("question_id", "")), "question": question}
    path = f"/cases/{found.view.first.data.case_id}/agency-questions"
    try:
        await pages.routing.call(user.act_in(code), "POST", path, body=body)
    except ServiceRefused as refusal:
        problem = refusal.messages[page_language(request)]
    except ServiceUnavailable:
        problem = load_translations("simpul_desk")[page_language(request)].gettext(QUESTION_NOT_SENT)
    else:
        pages.live.announce(code, f"{code}/{found.view.referral_id}")
        return RedirectResponse(f"/work/{code}/{found.view.referral_id}#others", 303)
    return await pages.render_referral(request, user, code, found, refusal=problem, given=given)


async def _list_questions(pages: WorkPages, actor: Actor, found: OpenReferral) -> Sequence[Any]:
    path = f"/cases/{found.view.first.data.case_id}/agency-questions"
    try:
        return list((await pages.routing.get(actor, path)).content)
    except ServiceRefused as refusal:
        if refusal.is_unknown:
            # Routing has yet to read that the agency accepted.
            return ()
        raise


def _helps(found: OpenReferral) -> bool:
    """Whether the agency has accepted a service that has not ended."""
    return any(one.is_open and not one.is_unanswered for one in found.view.services)

"""The page of a referral: what it says, and the forms by which people answer and report on it."""

from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from simpul_agency.connectors.reply_command import InvalidReply
from simpul_desk.access import CurrentUser
from simpul_desk.hosting.agencies import ReferralChanged
from simpul_desk.rendering import render
from simpul_desk.work_pages.pages import WorkPages
from simpul_desk.work_pages.reply_form import FormProblem, read_command
from simpul_desk.work_pages.texts import Problem


def add_referral_page(web: FastAPI, pages: WorkPages) -> None:
    """Adds the routes."""

    @web.get("/work/{agency}/{referral_id}", include_in_schema=False)
    async def referral(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        await opened.mark_seen(referral_id, user)
        return await pages.render_referral(request, user, agency, found)

    @web.get("/work/{agency}/{referral_id}/changes", include_in_schema=False)
    async def changes(
        request: Request, user: CurrentUser, agency: str, referral_id: UUID, version: str = ""
    ) -> Response:
        _, found = await pages.open(user, agency, referral_id)
        people = [name for name in pages.live.list_people(f"{agency}/{referral_id}") if name != user.name]
        return render(
            request,
            "work/changes.html",
            has_changed=found.version != version,
            people=people,
            agency=agency,
            view=found.view,
        )

    _add_forms(web, pages)


def _add_forms(web: FastAPI, pages: WorkPages) -> None:
    @web.post("/work/{agency}/{referral_id}", include_in_schema=False)
    async def reply(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        given = await request.form()
        try:
            command = read_command(given, found, pages.city.zone)
            written = str(given.get("note", "")).strip()
            await opened.reply(referral_id, str(given.get("version", "")), command, user, note=written)
        except FormProblem as error:
            return await pages.render_referral(request, user, agency, found, problem=error.problem, given=given)
        except InvalidReply:
            problem = Problem.TIME_MISSING if given.get("reply") == "scheduled" else Problem.NOT_POSSIBLE
            return await pages.render_referral(request, user, agency, found, problem=problem, given=given)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}", 303)

    @web.post("/work/{agency}/{referral_id}/information", include_in_schema=False)
    async def information(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, _ = await pages.open(user, agency, referral_id)
        given = await request.form()
        what = str(given.get("what", "")).strip()
        try:
            await opened.mark_information(referral_id, user, is_missing=given.get("is_missing") == "yes", what=what)
        except ReferralChanged:
            found = await opened.read(referral_id)
            return await pages.render_referral(request, user, agency, found, problem=Problem.CHANGED, given=given)
        return RedirectResponse(f"/work/{agency}/{referral_id}", 303)

    @web.post("/work/{agency}/{referral_id}/conflict", include_in_schema=False)
    async def conflict(user: CurrentUser, agency: str, referral_id: UUID) -> Response:
        opened, found = await pages.open(user, agency, referral_id)
        await opened.declare_conflict(found.view, user)
        return RedirectResponse("/work", 303)

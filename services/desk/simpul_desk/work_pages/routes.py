"""The routes of the work pages, with the streams by which open pages follow a change; forms need no script."""

from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from simpul_desk.access import CurrentUser, recheck_access
from simpul_desk.hosting.agencies import HostedElsewhere
from simpul_desk.hosting.neighbour import NeighbourAway, pass_on
from simpul_desk.live import Listener, event_stream
from simpul_desk.rendering import render
from simpul_desk.work_pages.letter_page import add_letter
from simpul_desk.work_pages.others_page import add_others_page
from simpul_desk.work_pages.pages import WorkPages
from simpul_desk.work_pages.record_forms import add_record_forms
from simpul_desk.work_pages.referral_page import add_referral_page
from simpul_desk.work_pages.worklist_page import add_worklist


def add_work_pages(web: FastAPI, pages: WorkPages) -> None:
    """Adds the routes; none of them is part of an API for programs."""
    add_worklist(web, pages)
    add_referral_page(web, pages)
    add_others_page(web, pages)
    add_letter(web, pages)
    add_record_forms(web, pages)

    @web.get("/live/{agency}", include_in_schema=False)
    async def live(request: Request, user: CurrentUser, agency: str) -> StreamingResponse:
        pages.agency_of(user, agency)
        may_listen = recheck_access(request, lambda person: agency in person.memberships)
        return event_stream(pages.live, agency, Listener(user.id, user.name, may_listen))

    @web.get("/live/{agency}/{referral_id}", include_in_schema=False)
    async def live_referral(request: Request, user: CurrentUser, agency: str, referral_id: UUID) -> StreamingResponse:
        _, found = await pages.open(user, agency, referral_id)
        case_id = found.view.first.data.case_id
        may_listen = recheck_access(
            request, lambda person: agency in person.memberships and not person.is_excluded(case_id)
        )
        return event_stream(pages.live, f"{agency}/{referral_id}", Listener(user.id, user.name, may_listen))

    @web.exception_handler(HostedElsewhere)
    async def pass_on_or_explain(request: Request, elsewhere: HostedElsewhere) -> Response:
        try:
            return await pass_on(request, elsewhere.socket)
        except NeighbourAway:
            pass
        return render(request, "work/closed.html", status=503, headers={"retry-after": "5"})

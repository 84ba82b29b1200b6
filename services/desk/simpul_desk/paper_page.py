"""The public page on which anybody checks whether a printed paper is genuine."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response

from simpul_city import City
from simpul_desk.access import guest_form
from simpul_desk.papers import PAPER, find_paper
from simpul_desk.rendering import page_language, render
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.vocabulary import Service as Need

_Code = Annotated[str, Query(max_length=40)]


def add_paper_page(web: FastAPI, service: Service, city: City) -> None:
    """Adds the route; it shows what the register says, which names no person."""
    names = {agency.code: agency.name for agency in city.agencies}

    @web.get(PAPER, include_in_schema=False, dependencies=[Depends(guest_form)])
    async def check(request: Request, code: _Code = "") -> Response:
        async with service.engine.connect() as connection:
            found = await find_paper(connection, code) if code else None
        language = page_language(request)
        return render(
            request,
            "paper.html",
            status=404 if code and not found else 200,
            code=code,
            found=found,
            agency=names.get(found.agency, found.agency) if found else "",
            language=language,
            services=[Need(one).label(language) for one in found.services] if found else [],
            wording=Wording(language, city.zone, utc_now()),
        )

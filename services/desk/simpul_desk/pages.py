"""The board as a web page, in the reader's language."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from simpul_city import City
from simpul_desk import repository
from simpul_desk.repository import BoardCounts, BoardLine
from simpul_runtime.database import utc_now
from simpul_runtime.languages import language_of
from simpul_runtime.service import Service
from simpul_runtime.translations import page_templates
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import Service as Need
from simpul_schema.vocabulary import Urgency

MAX_LINES: Final = 200


def add_pages(web: FastAPI, service: Service) -> None:
    """Registers the board's route."""

    @web.get(
        "/",
        response_class=HTMLResponse,
        tags=["board"],
        summary="Open referrals: late ones first, then those without an answer, then accepted ones",
    )
    async def board(request: Request) -> HTMLResponse:
        lines = await repository.load_board(service.engine, MAX_LINES)
        counts = await repository.count_open_referrals(service.engine)
        return HTMLResponse(render_board(language_of(request), lines, counts, service.city, utc_now()))


def render_board(language: str, lines: Sequence[BoardLine], counts: BoardCounts, city: City, now: datetime) -> str:
    """Renders the board in one language, with times in the city's zone."""
    template = page_templates("simpul_desk")[language].get_template("board.html")
    return template.render(
        lines=lines, counts=counts, now=now, zone=city.zone, city=city.name,
        agency_names={agency.code: agency.name for agency in city.agencies}, case_reference=case_reference,
        referral_code=referral_code, Need=Need, Urgency=Urgency, max_lines=MAX_LINES,
    )  # fmt: skip

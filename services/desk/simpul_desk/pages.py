"""The board as a page."""

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_desk import repository
from simpul_runtime.database import utc_now
from simpul_runtime.service import Service
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import Service as Need
from simpul_schema.vocabulary import Urgency

SHOWN = 200


def add_pages(web: FastAPI, service: Service) -> None:
    """The routes of the board."""
    templates = Environment(loader=PackageLoader("simpul_desk"), autoescape=True, undefined=StrictUndefined)
    agencies = {agency.code: agency.name for agency in service.city.agencies}

    @web.get(
        "/",
        response_class=HTMLResponse,
        tags=["board"],
        summary="Referrals that are late, those that wait for an answer, then those that have one",
    )
    async def board() -> HTMLResponse:
        lines = await repository.shown_referrals(service.engine, SHOWN)
        counts = await repository.count_referrals(service.engine)
        shown = templates.get_template("board.html").render(
            lines=lines, counts=counts, now=utc_now(), zone=service.city.zone, city=service.city.name,
            agencies=agencies,
            case_reference=case_reference, referral_code=referral_code, Need=Need, Urgency=Urgency, most=SHOWN,
        )  # fmt: skip
        return HTMLResponse(shown)

"""The routes of the city pages, and what a person reads when routing is away or refuses something."""

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_desk.city_pages.board_page import add_board
from simpul_desk.city_pages.case_page import add_case_page
from simpul_desk.city_pages.case_papers import add_case_papers
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.team_page import add_team_page
from simpul_desk.city_pages.transfers import add_transfer_forms
from simpul_desk.rendering import page_language
from simpul_desk.service_api import ServiceRefused, ServiceUnavailable


def add_city_pages(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""
    add_board(web, pages)
    add_case_papers(web, pages)
    add_case_page(web, pages)
    add_transfer_forms(web, pages)
    add_team_page(web, pages)

    @web.exception_handler(ServiceUnavailable)
    async def explain_outage(request: Request, _: ServiceUnavailable) -> Response:
        return pages.render(request, "city/unavailable.html", status=503)

    @web.exception_handler(ServiceRefused)
    async def explain_refusal(request: Request, refusal: ServiceRefused) -> Response:
        if refusal.is_unknown:
            raise HTTPException(404)
        text = refusal.messages[page_language(request)]
        return pages.render(request, "city/refused.html", status=refusal.status, text=text)

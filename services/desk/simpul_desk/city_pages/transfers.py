"""Transfers of a case to parties outside the agreement: sent, acknowledged, withdrawn, and the letter to print."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from simpul_desk.access import CurrentUser
from simpul_desk.city_pages.case_page import change_case
from simpul_desk.city_pages.pages import CityPages, actor_of
from simpul_desk.rendering import page_language


def add_transfer_forms(web: FastAPI, pages: CityPages) -> None:
    """Adds the routes."""

    @web.post("/city/cases/{case_id}/transfers", include_in_schema=False)
    async def send(request: Request, user: CurrentUser, case_id: UUID) -> Response:
        body = _read(await request.form(), ("subject", "way", "party", "address", "reason"))
        return await change_case(pages, request, user, case_id, "transfers", body)

    @web.post("/city/cases/{case_id}/receipts/{transfer_id}", include_in_schema=False)
    async def acknowledge(request: Request, user: CurrentUser, case_id: UUID, transfer_id: UUID) -> Response:
        body = _read(await request.form(), ("name", "office", "received_on"))
        return await change_case(pages, request, user, case_id, f"transfers/{transfer_id}/acknowledge", body)

    @web.post("/city/cases/{case_id}/withdrawals/{transfer_id}", include_in_schema=False)
    async def withdraw(request: Request, user: CurrentUser, case_id: UUID, transfer_id: UUID) -> Response:
        body = _read(await request.form(), ("reason",))
        return await change_case(pages, request, user, case_id, f"transfers/{transfer_id}/withdraw", body)

    @web.get("/city/cases/{case_id}/transfers/{transfer_id}/letter", include_in_schema=False)
    async def letter(
        request: Request, user: CurrentUser, case_id: UUID, transfer_id: UUID, acting: str = ""
    ) -> Response:
        if user.is_excluded(case_id):
            raise HTTPException(404)
        answer = await pages.routing.get(
            actor_of(user, acting),
            f"/cases/{case_id}/transfers/{transfer_id}/letter",
            language=page_language(request),
        )
        return PlainTextResponse(answer.content)


def _read(given: FormData, names: Sequence[str]) -> dict[str, str]:
    return {name: str(given.get(name, "")) for name in names}

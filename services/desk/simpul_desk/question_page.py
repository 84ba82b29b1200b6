"""The page of an agency that referred a child: what agencies that help it want to know, and its answers."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import CurrentUser, User
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import RoutingApi, ServiceRefused
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_schema.messages.reply import MAX_NOTE


@dataclass(frozen=True)
class QuestionPage:
    """Shows the questions to the agencies of a person; routing says which, and records the reading."""

    city: City
    routing: RoutingApi

    async def render(
        self, request: Request, user: User, problem: str = "", given: dict[str, str] | None = None
    ) -> Response:
        """Renders the questions to all agencies of the person, and an answer that was not taken."""
        agencies = sorted(user.memberships)
        if not agencies:
            raise HTTPException(404)
        found = await asyncio.gather(*(self._list(user, agency) for agency in agencies))
        questions = [one for of_agency in found for one in of_agency]
        return render(
            request,
            "questions.html",
            status=422 if problem else 200,
            questions=questions,
            problem=problem,
            given=given or {},
            max_answer=MAX_NOTE,
            parse=datetime.fromisoformat,
            names={agency.code: agency.name for agency in self.city.agencies if len(agencies) > 1},
            wording=Wording(page_language(request), self.city.zone, utc_now()),
        )

    async def render_count(self, request: Request, user: User) -> Response:
        """Renders how many questions wait; other pages show it every minute, and nobody reads a question by it."""
        counts = await asyncio.gather(*(self._count(user, agency) for agency in sorted(user.memberships)))
        return render(request, "question_count.html", count=sum(counts))

    async def answer(self, request: Request, user: User, question_id: UUID) -> Response:
        """Answers a question that the person may read; shows the page again with what they typed if it is refused."""
        form = await request.form()
        agency, answer = str(form.get("agency", "")), str(form.get("answer", "")).strip()
        if agency not in user.memberships:
            raise HTTPException(404)
        # Routing does not know which cases the desk keeps from this person.
        if str(question_id) not in {one["question_id"] for one in await self._list(user, agency)}:
            raise HTTPException(404)
        path = f"/agency-questions/{question_id}/answer"
        try:
            await self.routing.call(user.act_in(agency), "POST", path, body={"answer": answer})
        except ServiceRefused as refusal:
            problem = refusal.messages[page_language(request)]
            return await self.render(request, user, problem, {str(question_id): answer})
        return RedirectResponse("/questions", 303)

    async def _count(self, user: User, agency: str) -> int:
        without = ",".join(sorted(map(str, user.excluded_cases)))
        answer = await self.routing.get(user.act_in(agency), "/agency-questions/open", without=without)
        return int(answer.content["count"])

    async def _list(self, user: User, agency: str) -> list[dict[str, Any]]:
        without = ",".join(sorted(map(str, user.excluded_cases)))
        rows = (await self.routing.get(user.act_in(agency), "/agency-questions", without=without)).content
        return [row | {"agency": agency} for row in rows if not user.is_excluded(UUID(row["case_id"]))]


def add_question_page(web: FastAPI, page: QuestionPage) -> None:
    """Adds the routes."""

    @web.get("/questions", include_in_schema=False)
    async def questions(request: Request, user: CurrentUser) -> Response:
        return await page.render(request, user)

    @web.get("/questions/open", include_in_schema=False)
    async def count(request: Request, user: CurrentUser) -> Response:
        return await page.render_count(request, user)

    @web.post("/questions/{question_id}", include_in_schema=False)
    async def answer(request: Request, user: CurrentUser, question_id: UUID) -> Response:
        return await page.answer(request, user, question_id)

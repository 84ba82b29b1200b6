"""Questions between agencies about a case, by HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.api.paging import Without
from simpul_routing.api.recorded_reads import record_reads
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.agency_questions import AgencyQuestion
from simpul_routing.use_cases import AgencyQuestions, SeeCases
from simpul_runtime.service import Service
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.names import subject_of_case
from simpul_schema.references import case_reference


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AgencyQuestionIn(_Written):
    """A question to the agency that referred the child."""

    question_id: UUID = Field(description="random; a question that is sent twice counts once")
    question: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, max_length=MAX_QUESTION, description="stored encrypted, and erased with the case"
    )


class AnswerIn(_Written):
    """The answer to a question."""

    answer: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, max_length=MAX_NOTE, description="stored encrypted, and erased with the case"
    )


def add_agency_question_routes(
    web: FastAPI,
    service: Service,
    questions: AgencyQuestions,
    see_cases: SeeCases,
    authentication: Authentication,
    codes: Codes,
    documented: dict[str, Any],
) -> None:
    """Adds the routes."""
    recorded = record_reads(service.engine)
    permit, find_case = authentication.permit, Depends(codes.find_case)
    guarded: dict[str, Any] = {**documented, "tags": ["cases"]}

    @web.get(
        "/cases/{case_id}/agency-questions",
        summary="What the agency of the person wanted to know of the agency that referred the child",
        **guarded,
    )
    async def list_sent(
        by: Annotated[Actor, permit(ApiAction.READ_AGENCY_QUESTIONS)], case_id: Annotated[UUID, find_case]
    ) -> list[dict[str, Any]]:
        async with recorded(by, ApiAction.READ_AGENCY_QUESTIONS, subject_of_case(case_id)) as connection:
            await see_cases.find_case(connection, case_id, by)
        # Afterwards, so that one request never waits for a second connection while it holds one.
        return [_question_out(one) for one in await questions.list_sent(case_id, by)]

    @web.post(
        "/cases/{case_id}/agency-questions",
        status_code=204,
        summary="Send a question to the agency that referred the child, as an agency that helps it",
        **guarded,
    )
    async def send_question(
        by: Annotated[Actor, permit(ApiAction.SEND_AGENCY_QUESTION)],
        case_id: Annotated[UUID, find_case],
        body: AgencyQuestionIn,
    ) -> None:
        await questions.send_question(case_id, body.question_id, body.question, by)

    @web.get(
        "/agency-questions",
        summary="The questions that the agency of the person is to answer, and those that it answered",
        **guarded,
    )
    async def list_addressed(
        by: Annotated[Actor, permit(ApiAction.LIST_AGENCY_QUESTIONS)], without: Without = None
    ) -> list[dict[str, Any]]:
        return [_question_out(one) for one in await questions.list_addressed(by, without or ())]

    @web.get("/agency-questions/open", summary="How many questions wait for the agency of the person", **guarded)
    async def count_open(
        by: Annotated[Actor, permit(ApiAction.LIST_AGENCY_QUESTIONS)], without: Without = None
    ) -> dict[str, int]:
        return {"count": await questions.count_open(by, without or ())}

    @web.post(
        "/agency-questions/{question_id}/answer",
        status_code=204,
        summary="Answer a question of another agency",
        **guarded,
    )
    async def answer_question(
        by: Annotated[Actor, permit(ApiAction.ANSWER_AGENCY_QUESTION)], question_id: UUID, body: AnswerIn
    ) -> None:
        await questions.answer_question(question_id, body.answer, by)


def _question_out(question: AgencyQuestion) -> dict[str, Any]:
    """Shows a question without its agencies: a complaint centre does not learn who helps the child, nor they of it."""
    return {
        "question_id": question.question_id,
        "case_id": question.case_id,
        "reference": case_reference(question.case_id),
        "question": question.text,
        "sent_at": question.sent_at,
        "answer": question.answer or None,
        "answered_at": question.answered_at,
        # Without a reason: it may concern the agency that was to answer.
        "withdrawn_at": question.withdrawn_at,
    }

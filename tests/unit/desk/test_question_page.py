"""The page of the agency that referred a child: only questions that the person may read, and no lost word."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from simpul_desk.access import Role, User
from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.question_page import QuestionPage, add_question_page
from simpul_desk.service_api import ServiceRefused
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

SHOWN, HIDDEN, OPEN, OF_HIDDEN = (str(UUID(int=number)) for number in (2, 7, 3, 4))


def a_question(question_id: str, case_id: str, text: str, answer: str | None = None) -> dict[str, Any]:
    at = "2026-11-27T01:00:00+00:00"
    return {
        "question_id": question_id,
        "case_id": case_id,
        "reference": "K-0000-0002",
        "question": text,
        "sent_at": at,
        "answer": answer,
        "answered_at": at if answer else None,
    }


class Routing:
    """Knows two open questions to one agency, one about a case that the desk keeps from the person."""

    def __init__(self) -> None:
        self.called: list[tuple[str, str, object, str]] = []
        self.got: list[str] = []
        self.is_refusing = False

    async def get(self, actor: Any, path: str, **query: Any) -> Any:
        self.got.append(path)
        if path == "/agency-questions/open":
            return SimpleNamespace(
                content={"count": int(actor.agency == "klinik-pendidikan" and query["without"] == HIDDEN)}
            )
        assert path == "/agency-questions"
        rows = [a_question(OPEN, SHOWN, "Is <he> at home?"), a_question(OF_HIDDEN, HIDDEN, "Secret?")]
        return SimpleNamespace(content=rows if actor.agency == "klinik-pendidikan" else [])

    async def call(self, actor: Any, method: str, path: str, body: object) -> None:
        self.called.append((method, path, body, actor.agency))
        if self.is_refusing:
            raise ServiceRefused(409, {"code": "question_answered", "messages": {"en": "Answered before.", "id": "x"}})


def browser(routing: Routing, *agencies: str) -> AsgiBrowser:
    async def find_user(*_: object) -> User:
        memberships = dict.fromkeys(agencies, Role.RESPONDER)
        return User(UUID(int=1), "Wiji Rekaan", "en", memberships, {}, frozenset({UUID(HIDDEN)}))

    web, api = FastAPI(), routing
    web.state.find_user = find_user
    add_question_page(web, QuestionPage(CITY, api))  # type: ignore[arg-type]  # a routing of its own
    return AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})


def answer(text: str) -> dict[str, str]:
    return {"agency": "klinik-pendidikan", "answer": text, FORM_FIELD: form_token_of("secret")}


async def test_a_person_reads_and_answers_the_questions_to_the_own_agency() -> None:
    routing = Routing()
    desk = browser(routing, "klinik-pendidikan", "ylpa")

    page = await desk.get("/questions")
    sent = await desk.post(f"/questions/{OPEN}", answer(" No. "))

    assert "Is &lt;he&gt; at home?" in page.text
    assert "Secret?" not in page.text
    assert (sent.status, sent.location) == (303, "/questions")
    assert routing.called == [("POST", f"/agency-questions/{OPEN}/answer", {"answer": "No."}, "klinik-pendidikan")]


async def test_a_page_that_shows_how_many_wait_reads_no_question() -> None:
    routing = Routing()

    page = await browser(routing, "klinik-pendidikan", "ylpa").get("/questions/open")

    assert "wait for an answer: 1." in page.text
    assert set(routing.got) == {"/agency-questions/open"}
    assert "wait" not in (await browser(routing, "ylpa").get("/questions/open")).text


@pytest.mark.parametrize(("question", "agencies"), [
    (OF_HIDDEN, ("klinik-pendidikan",)), (str(UUID(int=9)), ("klinik-pendidikan",)), (OPEN, ("ylpa",)), (OPEN, ()),
])  # fmt: skip
async def test_any_other_question_does_not_exist(question: str, agencies: tuple[str, ...]) -> None:
    routing = Routing()

    page = await browser(routing, *agencies).post(f"/questions/{question}", answer("No."))

    assert page.status == 404
    assert routing.called == []


async def test_no_typed_word_is_lost_when_the_answer_is_refused() -> None:
    routing = Routing()
    routing.is_refusing = True

    page = await browser(routing, "klinik-pendidikan").post(f"/questions/{OPEN}", answer("Only <at> night."))

    assert page.status == 422
    assert "Answered before." in page.shown_text
    assert "Only &lt;at&gt; night.</textarea>" in page.text

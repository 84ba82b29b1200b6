"""The case manager asks; whoever holds the receipt reads it and answers, and nothing of it is stored in clear."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from simpul_intake import repository
from simpul_intake.api import AmendmentIn
from simpul_intake.erasure import ErasureReason
from simpul_intake.errors import QuestionUnknown, ReceiptUnknown
from simpul_intake.use_cases import EraseCases
from simpul_intake.use_cases.keep_questions import MAX_OPEN
from simpul_schema.messages import CaseQuestionSentV1
from simpul_schema.messages.case import ReporterQuestion
from simpul_seal import seal_section
from tests.integration.intake.conftest import FIRST_DAY, IntakeProcess, Room
from tests.support.handlers import HANDLERS

QUESTION, ANSWER = "Does Wenthilora sleep at her aunt's?", "At Paksibumi's, behind the mosque."


async def record(room: Room, running: IntakeProcess, case_id: UUID, text: str = QUESTION, hour: int = 0) -> UUID:
    """Stores a question as routing publishes it; twice, because messages are repeated."""
    event_id, question_id = uuid4(), uuid4()
    sealed = seal_section(
        ReporterQuestion(text=text).model_dump_json().encode(),
        room.keys.directory.current("intake", FIRST_DAY),
        event_id=event_id,
        case_id=case_id,
        section="question",
    )
    event = CaseQuestionSentV1.model_validate(
        {
            "id": event_id,
            "source": "/kediri/routing",
            "subject": f"question/{question_id}",
            "time": FIRST_DAY,
            "sequence": "0000000001",
            "correlationid": case_id,
            "data": {
                "case_id": case_id,
                "question_id": question_id,
                "sent_at": FIRST_DAY + timedelta(hours=hour),
                "sealed": {"question": sealed},
            },
        }
    )
    assert CaseQuestionSentV1 in HANDLERS["intake"]
    for _ in range(2):
        async with room.transactions.begin() as transaction:
            await running.questions.record_questions(transaction, [event])
    return question_id


async def chronology(room: Room, running: IntakeProcess, case_id: UUID) -> str:
    """What the agencies will read."""
    async with room.transactions.begin() as transaction:
        keys = await running.dossiers._unwrap_keys(case_id)
        (report,) = await running.dossiers._open_reports(transaction, keys)
    return report.narrative["chronology"]


async def stored(room: Room) -> str:
    """Everything that intake's database holds, as text."""
    tables = await room.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = [await room.fetch(f"SELECT * FROM {row['tablename']}") for row in tables]
    return str(found)


async def test_a_question_is_read_and_answered_with_the_receipt_alone(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    later = await record(room, running, case.case_id, "And by day?", hour=1)
    question_id = await record(room, running, case.case_id)

    with pytest.raises(ReceiptUnknown):
        await running.follow_reports.follow(case.case_id, other.phrase)
    followed = await running.follow_reports.follow(case.case_id, case.phrase)
    assert [(one.question_id, one.text) for one in followed.questions] == [
        (question_id, QUESTION),
        (later, "And by day?"),
    ]
    assert (await running.follow_reports.follow(other.case_id, other.phrase)).questions == ()

    answers = [{"question_id": str(question_id), "answer": ANSWER}]
    before = await chronology(room, running, case.case_id)
    await running.amend_report(case.case_id, case.phrase, answers=answers)

    after = await chronology(room, running, case.case_id)
    assert after == f"{before}\n\nPertanyaan kepada pelapor: {QUESTION}\nJawaban: {ANSWER}"
    left = await running.follow_reports.follow(case.case_id, case.phrase)
    assert [one.question_id for one in left.questions] == [later]
    everything = await stored(room)
    assert not [word for word in ("Wenthilora", "Paksibumi") if word in everything]
    audited = await room.fetch("SELECT action, actor, detail FROM audit ORDER BY position")
    found = [(row["action"], row["actor"], row["detail"]) for row in audited]
    assert ("question.stored", "intake", f"question:{question_id}") in found
    assert ("vault.read", "receipt_holder", "progress:question") in found
    assert ("report.amended", "receipt_holder", "revision:2,answers:1") in found


async def test_an_answer_to_a_question_of_another_case_is_refused_and_stores_nothing(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    question_id = await record(room, running, other.case_id)
    answers = [{"question_id": str(question_id), "answer": ANSWER}]

    with pytest.raises(QuestionUnknown):
        await running.amend_report(case.case_id, case.phrase, answers=answers)

    revisions = await room.fetch("SELECT max(revision) AS n FROM section WHERE case_id = $1", case.case_id)
    assert [row["n"] for row in revisions] == [1]
    assert len((await running.follow_reports.follow(other.case_id, other.phrase)).questions) == 1


async def test_a_flood_of_questions_is_shown_in_parts(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    for number in range(MAX_OPEN + 1):
        await record(room, running, case.case_id, f"{number}?", hour=number)

    followed = await running.follow_reports.follow(case.case_id, case.phrase)

    assert [one.text for one in followed.questions] == [f"{number}?" for number in range(MAX_OPEN)]


async def test_questions_end_with_what_the_vault_erases(room: Room) -> None:
    running = room.use_cases()
    cases = [await running.take_report() for _ in range(2)]
    for case in cases:
        await record(room, running, case.case_id)
    await room.fetch("UPDATE outbox SET published_at = now()")

    await EraseCases(room.engine).erase_case(cases[0].case_id, ErasureReason.REQUEST, "kepala")
    async with room.engine.begin() as connection:
        await repository.delete_sections(connection, cases[1].case_id, ["narrative"])
    assert await room.fetch("SELECT 1 FROM reporter_question") == []

    # One that is on its way while the case is erased is dropped.
    await record(room, running, cases[0].case_id)
    assert await room.fetch("SELECT 1 FROM reporter_question") == []


async def test_a_stored_question_is_bound_to_its_case(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    await record(room, running, case.case_id)
    await room.fetch("UPDATE reporter_question SET case_id = $1", other.case_id)

    with pytest.raises(Exception, match="cannot be decrypted"):
        await running.follow_reports.follow(other.case_id, other.phrase)


def test_the_api_takes_no_empty_and_no_endless_answer() -> None:
    def read(answer: Any) -> AmendmentIn:
        answers = [{"question_id": str(uuid4()), "answer": answer}]
        return AmendmentIn.model_validate_json(
            json.dumps({"amendment_id": str(uuid4()), "receipt": "x", "answers": answers})
        )

    assert read("ya").answers[0].answer == "ya"
    for wrong in ("", "  ", "x" * 5_001, None):
        with pytest.raises(ValidationError):
            read(wrong)

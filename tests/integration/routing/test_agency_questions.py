"""An agency that helps a child sends the agency that referred it a question; both read the answer, nobody else does."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import CaseUnknown, NobodyToAnswer, QuestionAnswered, QuestionOpen, QuestionUnknown
from simpul_schema.vocabulary import ActorRole, CaseEnd
from tests.integration.routing.conftest import Room
from tests.integration.routing.test_notes import an_erasure
from tests.support.actors import UPTD, acting

QUESTION, ANSWER = "Does Wenthilora sleep at her aunt's?", "At Paksibumi's, behind the mosque."
NURSE, CENTRE = acting("rs-rujukan", ActorRole.RESPONDER), acting("klinik-pendidikan", ActorRole.RESPONDER)
MANAGER = acting("uptd-ppa", ActorRole.CASE_MANAGER)


async def serving(room: Room, **facts: Any) -> UUID:
    """A case that the hospital has accepted."""
    case = await room.report(violence=["sexual"], injured="yes", safe_now="yes", **facts)
    await room.reply("accepted", room.find_offers(case_id=str(case), agency="rs-rujukan")[0])
    return case


async def send(room: Room, case: UUID, by: Actor = NURSE, text: str = QUESTION) -> UUID:
    question_id = uuid4()
    for _ in range(2):
        await room.questions.send_question(case, question_id, text, by)
    return question_id


async def addressed(room: Room, by: Actor, *without: UUID) -> list[tuple[str, str]]:
    return [(one.text, one.answer) for one in await room.questions.list_addressed(by, without)]


async def sent(room: Room, case: UUID, by: Actor = NURSE) -> list[tuple[str, str]]:
    return [(one.text, one.answer) for one in await room.questions.list_sent(case, by)]


async def test_the_centre_that_reported_answers_and_both_read_it(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")

    question_id = await send(room, case)

    counts = [await room.questions.count_open(CENTRE, without) for without in ((), (case,))]
    assert (counts, await room.questions.count_open(MANAGER, ())) == ([1, 0], 0)
    assert await room.rows("SELECT action FROM audit WHERE action = 'question.read'") == []
    assert await addressed(room, CENTRE) == [(QUESTION, "")]
    assert await addressed(room, CENTRE, case) == []
    assert await addressed(room, MANAGER) == []
    with pytest.raises(QuestionOpen):
        await send(room, case)
    with pytest.raises(QuestionUnknown):
        await room.questions.answer_question(question_id, ANSWER, MANAGER)

    for _ in range(2):
        await room.questions.answer_question(question_id, ANSWER, CENTRE)

    assert await addressed(room, CENTRE) == await sent(room, case) == [(QUESTION, ANSWER)]
    assert await room.questions.count_open(CENTRE, ()) == 0
    with pytest.raises(QuestionAnswered):
        await room.questions.answer_question(question_id, "Elsewhere.", CENTRE)
    await send(room, case, text="And by day?")
    stored = str([await room.rows(f"SELECT * FROM {table}") for table in ("agency_question", "audit", "outbox")])
    assert not [word for word in ("Wenthilora", "Paksibumi") if word in stored + str(room.events)]
    audited = await room.rows("SELECT action, actor, detail FROM audit WHERE action LIKE 'question.%'")
    found = {(row["action"], row["actor"], row["detail"]) for row in audited}
    assert {
        ("question.sent", NURSE.code, f"rs-rujukan:{question_id}"),
        ("question.read", CENTRE.code, f"klinik-pendidikan:{question_id}"),
        ("question.answered", CENTRE.code, f"klinik-pendidikan:{question_id}"),
    } <= found


async def test_of_a_child_that_the_public_reported_the_case_manager_answers(room: Room) -> None:
    case = await serving(room)

    await send(room, case)

    assert await addressed(room, MANAGER) == [(QUESTION, "")]
    await room.reply("accepted", room.find_offers(case_id=str(case), agency="uptd-ppa")[0])
    with pytest.raises(NobodyToAnswer):
        await send(room, case, by=MANAGER)


async def test_only_an_agency_that_helps_the_child_sends_questions(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    waiting = acting("polres-ppa", ActorRole.RESPONDER)
    await send(room, case)

    for by in (waiting, CENTRE, acting("dukcapil", ActorRole.RESPONDER)):
        with pytest.raises(CaseUnknown):
            await room.questions.send_question(case, uuid4(), QUESTION, by)
        with pytest.raises(CaseUnknown):
            await room.questions.list_sent(case, by)
    await room.triage.exclude_agency(case, await room.version(case), "rs-rujukan", by=UPTD, reason="x")
    with pytest.raises(CaseUnknown):
        await room.questions.list_sent(case, NURSE)


async def test_an_agency_that_may_be_too_close_to_the_suspect_is_never_addressed(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    before = await send(room, case)

    await room.amend(case, suggested_exclusions=["klinik-pendidikan"])

    assert await addressed(room, CENTRE) == []
    with pytest.raises(QuestionUnknown):
        await room.questions.answer_question(before, ANSWER, CENTRE)
    other = await serving(room, complaint_centre="klinik-pendidikan", suggested_exclusions=["klinik-pendidikan"])
    await send(room, other)
    assert await addressed(room, MANAGER) == [(QUESTION, "")]


@pytest.mark.parametrize("is_decided", [False, True])
async def test_a_question_is_withdrawn_from_an_agency_that_may_be_too_close_to_the_suspect(
    room: Room, is_decided: bool
) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    other = await serving(room, complaint_centre="klinik-pendidikan")
    answered = await send(room, case, text="By day?")
    await room.questions.answer_question(answered, ANSWER, CENTRE)
    room.now += timedelta(hours=1)
    question_id = await send(room, case)
    await send(room, other)
    if is_decided:
        await room.triage.exclude_agency(case, await room.version(case), "klinik-pendidikan", by=UPTD, reason="x")
    else:
        await room.amend(case, suggested_exclusions=["klinik-pendidikan"])

    found = {one.text: one for one in await room.questions.list_sent(case, NURSE)}
    assert (found[QUESTION].withdrawn_at, found[QUESTION].answered_at) == (room.now, None)
    assert found["By day?"].answer == ANSWER
    assert [one.withdrawn_at for one in await room.questions.list_sent(other, NURSE)] == [None]
    # Whoever sent it may send it again, and somebody else receives it.
    again = await send(room, case)
    assert await addressed(room, MANAGER) == [(QUESTION, "")]
    await room.questions.answer_question(again, ANSWER, MANAGER)
    if not is_decided:
        await room.triage.decide_suggestion(
            case, await room.version(case), "klinik-pendidikan", SuggestionState.REJECTED, by=UPTD, reason="a namesake"
        )
    with pytest.raises(QuestionUnknown):
        await room.questions.answer_question(question_id, ANSWER, CENTRE)
    assert QUESTION not in [text for text, _ in await addressed(room, CENTRE, other)]


async def test_what_the_version_before_the_upgrade_left_open_is_withdrawn_once(room: Room) -> None:
    case, other = [await serving(room, complaint_centre="klinik-pendidikan") for _ in range(2)]
    for one in (case, other):
        await send(room, one)
    await room.amend(case, suggested_exclusions=["klinik-pendidikan"])
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    await room.rows("UPDATE agency_question SET withdrawn_at = NULL")
    await room.rows("INSERT INTO earlier_disclosure SELECT case_id, $1 FROM case_plan", room.now)

    await room.earlier_disclosures.decide_due(room.now)

    assert await addressed(room, CENTRE, other) == []
    assert [one.withdrawn_at for one in await room.questions.list_sent(other, NURSE)] == [None]


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_merge_withdraws_a_question_from_an_agency_that_the_other_case_suspects(
    room: Room, is_old: bool
) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    question_id = await send(room, case)
    other = await serving(room, suggested_exclusions=["klinik-pendidikan"])
    assert await addressed(room, CENTRE) == [(QUESTION, "")]

    await room.end.merge_cases(case, await room.version(case), other, by=MANAGER, reason="the same child")
    if is_old:
        # As a version left it that withdrew nothing.
        await room.rows("UPDATE agency_question SET withdrawn_at = NULL")

    assert (await addressed(room, CENTRE), await room.questions.count_open(CENTRE, ())) == ([], 0)
    with pytest.raises(QuestionUnknown):
        await room.questions.answer_question(question_id, ANSWER, CENTRE)
    await send(room, case)
    withdrawn = {one.question_id: one.withdrawn_at for one in await room.questions.list_sent(case, NURSE)}
    assert withdrawn.pop(question_id) == room.now
    assert list(withdrawn.values()) == [None]
    assert await addressed(room, MANAGER) == [(QUESTION, "")]


async def test_a_case_whose_facts_cannot_be_read_still_takes_replies(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    await room.rows("UPDATE case_plan SET situation = '' WHERE case_id = $1", case)

    await room.reply("started", room.find_offers(case_id=str(case), agency="rs-rujukan")[0])

    [row] = await room.rows("SELECT state FROM case_plan WHERE case_id = $1", case)
    assert row["state"] == "intervention"


async def test_an_agency_that_is_suspected_itself_does_not_learn_that_its_question_was_withdrawn(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    await send(room, case)

    await room.amend(case, suggested_exclusions=["klinik-pendidikan", "rs-rujukan"])

    assert [one.withdrawn_at for one in await room.questions.list_sent(case, NURSE)] == [None]
    with pytest.raises(QuestionOpen):
        await send(room, case)


async def test_a_suspected_agency_reads_no_answer_from_after_the_suspicion(room: Room) -> None:
    case = await serving(room, complaint_centre="klinik-pendidikan")
    question_id = await send(room, case)
    await room.amend(case, suggested_exclusions=["rs-rujukan"])
    room.now += timedelta(hours=1)
    await room.questions.answer_question(question_id, ANSWER, CENTRE)

    assert await sent(room, case) == [(QUESTION, "")]
    with pytest.raises(QuestionOpen):
        await send(room, case)
    await room.triage.decide_suggestion(
        case, await room.version(case), "rs-rujukan", SuggestionState.REJECTED, by=UPTD, reason="a namesake"
    )
    assert await sent(room, case) == [(QUESTION, ANSWER)]


@pytest.mark.parametrize("sections", [(), ("medical",)])
async def test_questions_end_with_what_the_vault_erases(room: Room, sections: tuple[str, ...]) -> None:
    case, other = await serving(room), await serving(room)
    await send(room, case)
    await send(room, other)

    await room.receive([an_erasure(room, case, *sections)])

    assert [row["case_id"] for row in await room.rows("SELECT case_id FROM agency_question")] == [other]

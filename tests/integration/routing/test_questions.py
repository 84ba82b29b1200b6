"""The case manager asks the reporting person; routing passes the question to intake, sealed, and keeps none of it."""

from uuid import UUID

import pytest

from simpul_routing.domain.actors import Actor, ApiAction, is_permitted
from simpul_routing.errors import CaseChanged, CaseEnded, CaseUnknown
from simpul_schema.messages.case import ReporterQuestion
from simpul_schema.vocabulary import ActorRole, CaseEnd
from simpul_seal import NotForUs, open_section
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD, acting

QUESTION = "Does Wenthilora sleep at her aunt's?"


async def version_of(room: Room, case: UUID) -> int:
    async with room.transaction() as transaction:
        files = await room.notes._files.load_for_update(transaction, [case])
    return files[case].version


async def test_a_question_reaches_intake_alone_and_stays_nowhere_in_routing(room: Room) -> None:
    case = await room.report(safe_now="yes")
    version = await version_of(room, case)

    await room.triage.send_question(case, version, QUESTION, by=UPTD)

    (event,) = [one for one in room.events if one["type"] == "case.question_sent.v1"]
    sealed = event["data"]["sealed"]["question"]
    assert sealed["recipient"] == "intake"

    def opened_by(party: str) -> bytes:
        return open_section(
            sealed["ciphertext"], room.rings[party], event_id=UUID(event["id"]), case_id=case, section="question"
        )

    assert ReporterQuestion.model_validate_json(opened_by("intake")).text == QUESTION
    for party in ("routing", "uptd-ppa", "ylpa"):
        with pytest.raises(NotForUs):
            opened_by(party)
    assert [key for key, one in room.sent if one["id"] == event["id"]] == ["case.question_sent.v1"]
    tables = await room.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    stored = [await room.rows(f"SELECT * FROM {row['tablename']}") for row in tables]
    assert "Wenthilora" not in str(stored)
    history = await room.rows("SELECT actor, note FROM case_event WHERE kind = 'question_sent'")
    assert [(row["actor"], row["note"]) for row in history] == [(UPTD.code, b"")]

    # The same form, sent twice, asks once.
    with pytest.raises(CaseChanged):
        await room.triage.send_question(case, version, QUESTION, by=UPTD)


async def test_nobody_sends_a_question_about_a_case_that_has_ended_or_is_not_theirs(room: Room) -> None:
    case = await room.report(safe_now="yes")
    stranger = acting("dukcapil", ActorRole.CASE_MANAGER)

    with pytest.raises(CaseUnknown):
        await room.triage.send_question(case, await version_of(room, case), QUESTION, by=stranger)
    await room.end.close_case(case, await version_of(room, case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    with pytest.raises(CaseEnded):
        await room.triage.send_question(case, await version_of(room, case), QUESTION, by=UPTD)

    assert not [one for one in room.events if one["type"] == "case.question_sent.v1"]


async def test_a_case_shows_that_questions_may_not_reach_the_reporting_person(room: Room) -> None:
    case = await room.report(safe_now="yes", complaint_centre="polres-ppa")
    other = await room.report(safe_now="yes", complaint_centre="polres-ppa", suggested_exclusions=["ylpa"])
    suspected = acting("polres-ppa", ActorRole.CASE_MANAGER)

    async def is_cut_off(case_id: UUID, by: Actor = UPTD) -> bool:
        async with room.transaction() as transaction:
            return room.see.is_reporter_cut_off(by, await room.see.find_case(transaction.connection, case_id, UPTD))

    assert not await is_cut_off(case)
    await room.amend(case, suggested_exclusions=["polres-ppa"])
    assert await is_cut_off(case)
    # Its own people are not warned.
    assert not await is_cut_off(case, suspected)
    assert not await is_cut_off(other)
    await room.triage.exclude_agency(other, await version_of(room, other), "polres-ppa", by=UPTD, reason="x")
    assert await is_cut_off(other)


def test_only_who_manages_the_case_sends_questions() -> None:
    permitted = {role for role in ActorRole if is_permitted(role, ApiAction.SEND_QUESTION)}

    assert permitted == {ActorRole.CASE_MANAGER, ActorRole.COORDINATOR}

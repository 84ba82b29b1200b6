"""A case ends only when its rights are settled or with a reason, and it can be reopened."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.errors import (
    CaseChanged,
    CaseEnded,
    CaseNotEnded,
    CaseUnknown,
    ReasonMissing,
    RightsUnsettled,
    StageNotAllowed,
)
from simpul_routing.stored_facts import note_context
from simpul_schema.vocabulary import CaseEnd, Right, RightState
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD


async def settle_rights(room: Room, case: UUID) -> None:
    for right in Right:
        await room.end.answer_right(case, await room.version(case), right, RightState.FULFILLED, by=UPTD, reason="")


async def test_a_case_is_not_completed_while_a_right_is_not_settled_and_the_list_says_which(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes", injured="no")

    with pytest.raises(RightsUnsettled) as refusal:
        await room.end.close_case(case, await room.version(case), CaseEnd.COMPLETED, by=UPTD, reason="")

    assert {Right.SOCIAL_AID, Right.EDUCATION} <= set(refusal.value.rights)
    assert Right.RESTITUTION not in refusal.value.rights
    assert room.find_data("case.closed.v1") == []


async def test_a_completed_case_cancels_what_was_still_open_and_stops_its_clocks(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    await settle_rights(room, case)

    await room.end.close_case(case, await room.version(case), CaseEnd.COMPLETED, by=UPTD, reason="")

    offered = {entry["service_id"] for entry in room.find_offers()}
    assert {entry["service_id"] for entry in room.find_services("referral.cancelled.v1")} == offered
    assert [entry["end"] for entry in room.find_data("case.closed.v1", case_id=str(case))] == ["completed"]
    assert await room.rows("SELECT 1 FROM clock WHERE next_at IS NOT NULL") == []


async def test_a_reply_after_the_end_is_refused(room: Room) -> None:
    case = await room.report()
    await room.end.close_case(
        case, await room.version(case), CaseEnd.TRANSFERRED, by=UPTD, reason="lives in the regency"
    )
    await room.reply("accepted", room.find_offer(case, "case_management"))

    assert [entry["reason"] for entry in room.find_data("referral.reply_refused.v1")] == ["already_ended"]


async def test_a_case_that_ended_can_go_on_and_says_who_and_why(room: Room) -> None:
    case = await room.report()
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    with pytest.raises(CaseEnded):
        await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="again")
    await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="came back")

    made = await room.rows(
        "SELECT payload->>'before' AS before, payload->>'after' AS after, actor,"
        " coalesce(payload->>'action', payload->>'reason') AS reason FROM case_event"
        " WHERE case_id = $1 AND service_id IS NULL ORDER BY position",
        case,
    )
    assert [tuple(row.values()) for row in made] == [
        ("received", "triage", "routing", "decided"), ("triage", "terminated", UPTD.code, "closed"),
        ("terminated", "reopened", UPTD.code, "reopened"), (None, None, UPTD.code, "case_reopened"),
    ]  # fmt: skip
    assert len(room.find_data("case.reopened.v1")) == 1


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"version": 7}, CaseChanged),
        ({"case_id": uuid4()}, CaseUnknown),
        ({"reason": ""}, ReasonMissing),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    room: Room, change: dict[str, Any], refusal: type[Exception]
) -> None:
    case = await room.report()
    arguments: dict[str, Any] = {"case_id": case, "version": await room.version(case), "reason": "moved away"} | change

    with pytest.raises(refusal):
        await room.end.close_case(
            arguments["case_id"], arguments["version"], CaseEnd.CLOSED, by=UPTD, reason=arguments["reason"]
        )


async def test_only_a_case_that_ended_can_be_reopened(room: Room) -> None:
    case = await room.report()

    with pytest.raises(CaseNotEnded):
        await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="why not")


async def test_a_right_is_refused_by_the_victim_only_with_a_reason(room: Room) -> None:
    case = await room.report()
    arguments = (case, await room.version(case), Right.RESTITUTION, RightState.REFUSED_BY_VICTIM)

    with pytest.raises(ReasonMissing):
        await room.end.answer_right(*arguments, by=UPTD, reason="")
    await room.end.answer_right(*arguments, by=UPTD, reason="asked twice")

    assert room.find_data("right.changed.v1")[-1]["rights"] == [{"right": "restitution", "state": "refused_by_victim"}]


async def test_what_a_person_writes_as_a_reason_stands_nowhere_in_clear(room: Room) -> None:
    case = await room.report()
    text = "Wenthilora Paksibumi moved away"
    await room.end.answer_right(
        case, await room.version(case), Right.RESTITUTION, RightState.REFUSED_BY_VICTIM, by=UPTD, reason=text
    )
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason=text)

    stored = str(await room.rows("SELECT * FROM case_event")) + str(await room.rows("SELECT * FROM case_plan"))
    notes = await room.rows("SELECT note FROM case_event WHERE note <> ''")
    assert "Wenthilora" not in stored
    assert [room.keys.decrypt(row["note"], associated_data=note_context(case)).decode() for row in notes] == [
        text,
        text,
    ]


async def test_a_reopened_case_offers_again_what_ended_with_it_but_not_what_was_completed(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    await room.reply("accepted", aid)
    await room.reply("completed", aid, outcome="served")
    before = {entry["service"] for entry in room.find_offers(role="lead")}
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="came back")

    [replanned] = room.find_data("case.replanned.v1", why="case_reopened")
    assert {entry["service"] for entry in replanned["added"] if entry["role"] == "lead"} == before - {"social_aid"}
    assert (replanned["withdrawn"], replanned["kept"]) == ([], [])


async def test_a_case_entered_in_error_ends_with_all_its_referrals(room: Room) -> None:
    case = await room.report()
    await room.end.void_case(case, await room.version(case), by=UPTD, reason="typed twice")

    states = {row["state"] for row in await room.rows("SELECT state FROM service")}
    assert states == {"entered_in_error"}
    assert {entry["why"] for entry in room.find_services("referral.cancelled.v1")} == {"entered_in_error"}
    assert len(room.find_data("case.voided.v1", case_id=str(case))) == 1
    with pytest.raises(CaseEnded):
        await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="again")


async def test_a_case_goes_through_its_stages_with_its_referrals(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    states = []

    async def record_state() -> None:
        states.append((await room.rows("SELECT state FROM case_plan"))[0]["state"])

    await record_state()
    leads = room.find_offers(role="lead")
    await room.reply("accepted", leads[0])
    await record_state()
    await room.triage.change_stage(case, await room.version(case), CaseAction.PLANNED, by=UPTD, reason="")
    await record_state()
    await room.reply("started", leads[0])
    await record_state()
    for lead in leads[1:]:
        await room.reply("accepted", lead)
    for lead in leads:
        await room.reply("completed", lead, outcome="served")
    await record_state()

    assert states == ["triage", "assessment", "service_plan", "intervention", "monitoring"]
    with pytest.raises(StageNotAllowed):
        await room.triage.change_stage(case, await room.version(case), CaseAction.PLANNED, by=UPTD, reason="")

"""The service plan of a case: proposed, confirmed or edited by a person, sent by itself, or escalated."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_routing.api.queries import build_timeline
from simpul_routing.domain.service_plan import PlanChanges
from simpul_routing.errors import CaseChanged, PlanUnknown
from simpul_schema.messages.service_plan import ProposedPlan
from simpul_schema.vocabulary import CaseEnd, Service
from simpul_seal import open_section
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

SAFE = {"violence": ["physical"], "place": "school", "safe_now": "yes", "in_school": "yes"}
SLOW = {"violence": ["psychological"], "place": "household", "safe_now": "yes"}
AS_IT_IS = PlanChanges()
PROPOSED, DECIDED = "referral.plan_proposed.v1", "referral.plan_decided.v1"


def open_proposal(room: Room, announced: dict[str, Any]) -> ProposedPlan:
    """Opens a proposal with the key of the agency that decides."""
    event = next(event for event in room.events if event["data"] is announced)
    opened = open_section(
        announced["sealed"]["plan"]["ciphertext"],
        room.rings[announced["agency"]],
        event_id=UUID(event["id"]),
        case_id=UUID(event["correlationid"]),
        section="plan",
    )
    return ProposedPlan.model_validate_json(opened)


async def confirm(room: Room, case: UUID, edited: PlanChanges = AS_IT_IS, version: int = 0) -> None:
    await room.plans.confirm_plan(case, version or await room.version(case), edited, by=UPTD, reason="asked her")


def offered(room: Room, case: UUID) -> set[str]:
    """Returns the services that any agency was asked for, with the referral or later."""
    requests = [*room.find_data("referral.offered.v1"), *room.find_data("referral.amended.v1")]
    return {one["service"] for data in requests if data["case_id"] == str(case) for one in data["services"]}


async def test_the_case_manager_alone_reads_the_proposal_and_nobody_is_offered_it_yet(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(**SAFE)

    [announced] = room.find_data(PROPOSED, case_id=str(case))
    assert offered(room, case) == {"case_management"}
    assert (announced["agency"], announced["escalation_targets"], announced["step"]) == ("uptd-ppa", ["uptd-ppa"], 0)
    proposal = open_proposal(room, announced)
    assert {one.service for one in proposal.services} >= {Service.LEGAL_AID, Service.STAY_IN_SCHOOL}
    assert len(proposal.services) == announced["service_count"]
    assert all(one.clauses for one in proposal.services)
    stored = await room.rows("SELECT row_to_json(s)::text AS line FROM service_plan s")
    assert not [row for row in stored if "legal_aid" in row["line"] or "LEG-1" in row["line"]]
    states = await room.rows("SELECT rights->'accompaniment'->>'state' AS state FROM case_plan")
    assert states == [{"state": "planned"}]
    # Friday night and three working days: half of them are over on Tuesday at 10:00.
    tuesday = START + timedelta(days=3, hours=12)
    assert await room.rows("SELECT half_at, next_at FROM service_plan") == [{"half_at": tuesday, "next_at": tuesday}]


async def test_a_confirmed_plan_is_offered_once_by_the_version_that_a_person_read(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(**SAFE)
    version = await room.version(case)

    with pytest.raises(CaseChanged):
        await confirm(room, case, version=version + 7)
    await confirm(room, case, PlanChanges({Service.STAY_IN_SCHOOL: "moves away"}))
    with pytest.raises(PlanUnknown):
        await confirm(room, case)

    assert offered(room, case) == {"case_management", "legal_aid", "counselling"}
    assert [data["end"] for data in room.find_data(DECIDED)] == ["confirmed"]
    assert (await room.rows("SELECT state FROM case_plan"))[0]["state"] == "service_plan"
    async with room.engine.connect() as connection:
        lines = await build_timeline(connection, room.keys, case, {}, "en")
    text = " | ".join(line["text"] for line in lines)
    assert "a service plan was proposed" in text
    [left_out] = [line["text"] for line in lines if "a service was left out of the plan" in line["text"]]
    assert "uptd-ppa" in left_out
    assert left_out.endswith(": stay_in_school: moves away")


async def test_what_a_plan_brings_is_reminded_of_in_office_hours(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(**SAFE)
    await confirm(room, case)
    legal_aid = room.find_offer(case, "legal_aid")

    await room.sweep_until(START + timedelta(days=3, hours=11), timedelta(hours=1))
    before = room.find_services("referral.reminded.v1", service_id=legal_aid["service_id"], clock="answer")
    await room.sweep_until(START + timedelta(days=3, hours=12), timedelta(hours=1))

    after = room.find_services("referral.reminded.v1", service_id=legal_aid["service_id"], clock="answer")
    assert (len(before), len(after)) == (0, 1)


async def test_nobody_loses_what_no_person_confirmed_in_time(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(**SAFE)
    [announced] = room.find_data(PROPOSED)
    # Friday night and three working days.
    assert datetime.fromisoformat(announced["confirm_by"]) == START + timedelta(days=5)

    await room.sweep_until(START + timedelta(days=6), timedelta(hours=6))

    assert [data["step"] for data in room.find_data(PROPOSED)] == [0, 50]
    assert [data["end"] for data in room.find_data(DECIDED)] == ["sent"]
    assert offered(room, case) >= {"legal_aid", "stay_in_school"}
    before = len(room.events)
    await room.take_due_steps()
    assert len(room.events) == before


async def test_a_plan_that_may_wait_escalates_once_for_each_step(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(**SLOW)
    await room.reply("accepted", room.find_offer(case, "case_management"))

    await room.sweep_until(START + timedelta(days=40), timedelta(hours=12))

    steps = room.find_data(PROPOSED)
    assert [(data["step"], data["escalation_targets"]) for data in steps] == [
        (0, ["uptd-ppa"]), (50, ["uptd-ppa"]), (100, ["uptd-ppa-head"]), (200, ["uptd-ppa-head", "city-board"]),
    ]  # fmt: skip
    assert offered(room, case) == {"case_management"}
    await confirm(room, case)
    assert "psychologist" in offered(room, case)


async def test_an_open_plan_is_replaced_when_the_facts_change_and_closed_when_the_case_ends(
    planning_room: Room,
) -> None:
    room = planning_room
    case = await room.report(**SLOW)
    await room.amend(case, violence=["neglect"])

    first, second = room.find_data(PROPOSED)
    assert first["referral_id"] == second["referral_id"]
    assert Service.SOCIAL_ASSESSMENT in {one.service for one in open_proposal(room, second).services}
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    assert [data["end"] for data in room.find_data(DECIDED)] == ["closed"]
    await room.sweep_until(START + timedelta(days=40), timedelta(days=1))
    assert len(room.find_data(PROPOSED)) == 2


async def test_a_plan_that_cannot_be_decrypted_is_postponed_and_holds_up_no_other(planning_room: Room) -> None:
    room = planning_room
    broken, whole = await room.report(**SAFE), await room.report(**SAFE)
    await room.rows("UPDATE service_plan SET services = '\\x00' WHERE case_id = $1", broken)
    room.now = START + timedelta(days=6)

    for _ in range(4):
        await room.clocks.take_due_steps(room.now)

    assert {data["case_id"] for data in room.find_data(DECIDED)} == {str(whole)}
    [row] = await room.rows("SELECT next_at, closed_at FROM service_plan WHERE case_id = $1", broken)
    assert row["next_at"] > room.now
    assert row["closed_at"] is None

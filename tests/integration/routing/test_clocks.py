"""Deadlines tell the right people, each step once, whatever happens in between."""

import asyncio
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from simpul_routing.use_cases.sweep_clocks import MAX_STEPS
from tests.integration.routing.conftest import START, Room

STEPS = ("referral.reminded.v1", "referral.overdue.v1", "referral.escalated.v1")


def answer_steps(room: Room, referral: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [
        (event["type"], event["data"]["escalation_targets"])
        for event in room.events
        if event["type"] in STEPS
        and (event["data"]["referral_id"], event["data"]["clock"]) == (referral["referral_id"], "answer")
    ]


async def test_silence_climbs_the_ladder_through_the_weekend(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", place="school")
    asked = room.find_offer(case, "forensic_exam")

    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))

    assert answer_steps(room, asked) == [
        ("referral.reminded.v1", ["rs-rujukan"]),
        ("referral.overdue.v1", ["uptd-ppa"]),
        ("referral.escalated.v1", ["uptd-ppa-head", "city-board"]),
    ]


async def test_an_agency_excluded_later_is_announced_once_also_when_nothing_was_asked_of_it(room: Room) -> None:
    case = await room.report(violence=["physical"], safe_now="yes")
    asked = {entry["agency"] for entry in room.find_data("referral.offered.v1", case_id=str(case))}
    assert "satgas-kec-pesantren" not in asked

    for agency in ("satgas-kec-pesantren", "uptd-ppa"):
        await room.triage.exclude_agency(
            case, await room.version(case), agency, by="uptd-ppa", reason="related to the suspect"
        )

    told = room.find_data("case.agency_excluded.v1")
    assert [(entry["case_id"], entry["agency"]) for entry in told] == [
        (str(case), "satgas-kec-pesantren"), (str(case), "uptd-ppa"),
    ]  # fmt: skip


async def test_an_answer_stops_its_clock_and_leaves_the_others_running(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    asked = room.find_offer(case, "pep_72h")
    room.now = START + timedelta(minutes=8)
    await room.take_due_steps()
    await room.reply("accepted", asked)
    await room.sweep_until(START + timedelta(hours=50), timedelta(minutes=30))

    window = {"referral_id": asked["referral_id"], "clock": "health_window"}
    of_window = [entry["step"] for wire_name in STEPS for entry in room.find_data(wire_name, **window)]
    assert [wire_name for wire_name, _ in answer_steps(room, asked)] == ["referral.reminded.v1"]
    assert of_window == [50, 100, 200]


async def test_days_of_downtime_are_caught_up_in_order_and_each_step_is_told_once(room: Room) -> None:
    case = await room.report(safe_now="no")
    room.now = START + timedelta(days=5)
    await room.take_due_steps()
    await room.take_due_steps()

    for referral in room.find_data("referral.offered.v1", case_id=str(case)):
        assert [wire_name for wire_name, _ in answer_steps(room, referral)] == list(STEPS)


async def test_the_police_must_have_taken_sexual_violence_within_three_days_of_when_it_was_known(room: Room) -> None:
    case = await room.report(violence=["sexual"])
    to_police = [
        entry for entry in room.find_data("referral.offered.v1", case_id=str(case)) if entry["agency"] == "polres-ppa"
    ]
    await room.sweep_until(START + timedelta(days=2), timedelta(hours=2))
    for entry in to_police[1:]:
        await room.reply("accepted", entry)
    await room.sweep_until(START + timedelta(days=7), timedelta(hours=2))

    steps = [
        event["data"] for event in room.events if event["type"] in STEPS and event["data"]["clock"] == "police_report"
    ]
    assert {entry["agency"] for entry in steps} == {"polres-ppa"}
    assert [entry["step"] for entry in steps if entry["referral_id"] == to_police[0]["referral_id"]] == [50, 100, 200]
    assert {entry["step"] for entry in steps if entry["referral_id"] != to_police[0]["referral_id"]} <= {50}


async def test_several_sweepers_at_once_tell_each_step_once(room: Room) -> None:
    for _ in range(12):
        await room.report(safe_now="no")
    room.now = START + timedelta(days=1)

    await asyncio.gather(*(room.take_due_steps() for _ in range(3)))

    told = [
        (e["data"]["referral_id"], e["data"]["clock"], e["data"]["step"]) for e in room.events if e["type"] in STEPS
    ]
    assert len(told) == len(set(told)) > MAX_STEPS


async def test_a_completed_referral_is_never_told_about_again(room: Room) -> None:
    case = await room.report(safe_now="no")
    asked = room.find_offer(case, "case_management")
    await room.reply("accepted", asked)
    await room.reply("completed", asked, outcome="served")

    await room.sweep_until(START + timedelta(days=10), timedelta(hours=6))

    assert [e for e in room.events if e["type"] in STEPS and e["data"]["referral_id"] == asked["referral_id"]] == []


async def test_a_step_that_its_predecessor_took_is_not_told_again_to_the_successor(room: Room) -> None:
    case = await room.report(safe_now="no", perpetrator_lives_with_child="yes")
    first = room.find_offer(case, "shelter")
    room.now = START + timedelta(minutes=10)
    await room.take_due_steps()
    await room.reply("declined", first, reason="no_capacity")
    await room.sweep_until(START + timedelta(hours=1), timedelta(minutes=1))

    following = room.find_offer(case, "shelter")
    assert [wire_name for wire_name, _ in answer_steps(room, first)] == ["referral.reminded.v1"]
    assert [wire_name for wire_name, _ in answer_steps(room, following)] == list(STEPS[1:])


async def test_a_year_of_low_urgency_runs_in_seconds_and_working_days_leave_out_the_weekend(room: Room) -> None:
    case = await room.report(violence=["psychological"], safe_now="yes")
    asked = room.find_offer(case, "psychologist")

    await room.sweep_until(START + timedelta(days=365), timedelta(hours=12))

    overdue = room.find_data("referral.overdue.v1", referral_id=asked["referral_id"], clock="answer")
    assert [entry["due_at"][:10] for entry in overdue] == ["2026-12-02"]
    left = await room.rows("SELECT 1 FROM clock WHERE next_at IS NOT NULL")
    assert left == []


async def test_a_case_that_cannot_be_read_does_not_keep_the_others_from_being_told(room: Room) -> None:
    broken, sound = await room.report(safe_now="no"), await room.report(safe_now="no")
    async with room.transaction() as transaction:
        await transaction.connection.execute(
            text("UPDATE case_plan SET situation = '\\x00' WHERE case_id = :case"), {"case": broken}
        )
    room.now = START + timedelta(days=5)
    await room.take_due_steps()

    for case in (broken, sound):
        referral = room.find_data("referral.offered.v1", case_id=str(case))[0]
        assert [wire_name for wire_name, _ in answer_steps(room, referral)] == list(STEPS)


async def test_two_laws_that_set_the_same_deadline_make_one_of_it(room: Room) -> None:
    case = await room.report(violence=["sexual", "trafficking"])

    police = room.find_offer(case, "emergency_protection")
    rows = await room.rows("SELECT clock FROM clock WHERE referral_id = $1", UUID(police["referral_id"]))
    assert [row["clock"] for row in rows].count("police_report") == 1


async def test_a_deadline_that_cannot_be_read_keeps_no_other_from_being_told(room: Room) -> None:
    faulty, sound = await room.report(safe_now="no"), await room.report(safe_now="no")
    spoil = text(
        "UPDATE clock SET step = '?' WHERE referral_id IN (SELECT referral_id FROM referral WHERE case_id = :id)"
    )
    async with room.engine.begin() as connection:
        await connection.execute(spoil, {"id": faulty})
    room.now = START + timedelta(days=1)

    await room.clocks.take_due_steps(room.now)

    assert {event["correlationid"] for event in room.events if event["type"] in STEPS} == {str(sound)}
    async with room.engine.begin() as connection:
        due = await connection.execute(
            text("SELECT 1 FROM clock WHERE step = '?' AND next_at <= :now"), {"now": room.now}
        )
        assert due.all() == []

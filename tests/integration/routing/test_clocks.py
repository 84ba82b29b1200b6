"""Clocks notify the right people, each step once, across outages and failures."""

import asyncio
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from simpul_routing import repository
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


async def test_an_unanswered_referral_is_escalated_through_the_weekend(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", place="school")
    offer = room.find_offer(case, "forensic_exam")

    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))

    assert answer_steps(room, offer) == [
        ("referral.reminded.v1", ["rs-rujukan"]),
        ("referral.overdue.v1", ["uptd-ppa"]),
        ("referral.escalated.v1", ["uptd-ppa-head", "city-board"]),
    ]


async def test_a_case_whose_agreement_is_not_loaded_is_still_escalated_and_served(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", suggested_exclusions=["ylpa"])
    exam, pep = room.find_offer(case, "forensic_exam"), room.find_offer(case, "pep_72h")
    await room.rows("UPDATE referral SET agreement = '2025-01'")
    await room.rows("UPDATE case_plan SET agreement = '2025-01'")

    await room.reply("accepted", pep)
    await room.reply("started", pep)
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))
    await room.reply("declined", exam, reason="no_capacity")

    assert [targets for _, targets in answer_steps(room, exam)] == [
        ["rs-rujukan"], ["uptd-ppa"], ["uptd-ppa-head", "city-board"]
    ]  # fmt: skip
    assert len(room.find_data("referral.exclusion_suggested.v1")) == 4
    assert [entry["referral_id"] for entry in room.find_data("referral.started.v1")] == [pep["referral_id"]]
    assert [entry["referral_id"] for entry in room.find_data("referral.rerouted.v1")] == [exam["referral_id"]]


async def test_a_later_exclusion_is_published_once_even_without_a_referral(room: Room) -> None:
    case = await room.report(violence=["physical"], safe_now="yes")
    agencies = {entry["agency"] for entry in room.find_data("referral.offered.v1", case_id=str(case))}
    assert "satgas-kec-pesantren" not in agencies

    for agency in ("satgas-kec-pesantren", "uptd-ppa"):
        await room.triage.exclude_agency(
            case, await room.version(case), agency, by="uptd-ppa", reason="related to the suspect"
        )

    exclusions = room.find_data("case.agency_excluded.v1")
    assert [(entry["case_id"], entry["agency"]) for entry in exclusions] == [
        (str(case), "satgas-kec-pesantren"), (str(case), "uptd-ppa"),
    ]  # fmt: skip


async def test_an_answer_stops_its_clock_and_leaves_the_others_running(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    room.now = START + timedelta(minutes=8)
    await room.take_due_steps()
    await room.reply("accepted", offer)
    await room.sweep_until(START + timedelta(hours=50), timedelta(minutes=30))

    window = {"referral_id": offer["referral_id"], "clock": "health_window"}
    of_window = [entry["step"] for wire_name in STEPS for entry in room.find_data(wire_name, **window)]
    assert [wire_name for wire_name, _ in answer_steps(room, offer)] == ["referral.reminded.v1"]
    assert of_window == [50, 100, 200]


async def test_steps_missed_during_an_outage_are_taken_in_order_and_once(room: Room) -> None:
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


async def test_concurrent_sweepers_publish_each_step_once(room: Room) -> None:
    for _ in range(12):
        await room.report(safe_now="no")
    room.now = START + timedelta(days=1)

    await asyncio.gather(*(room.take_due_steps() for _ in range(3)))

    steps = [
        (e["data"]["referral_id"], e["data"]["clock"], e["data"]["step"]) for e in room.events if e["type"] in STEPS
    ]
    assert len(steps) == len(set(steps)) > MAX_STEPS


async def test_a_completed_referral_has_no_more_steps(room: Room) -> None:
    case = await room.report(safe_now="no")
    offer = room.find_offer(case, "case_management")
    await room.reply("accepted", offer)
    await room.reply("completed", offer, outcome="served")

    await room.sweep_until(START + timedelta(days=10), timedelta(hours=6))

    assert [e for e in room.events if e["type"] in STEPS and e["data"]["referral_id"] == offer["referral_id"]] == []


async def test_a_step_taken_before_a_reroute_is_not_repeated_after_it(room: Room) -> None:
    case = await room.report(safe_now="no", perpetrator_lives_with_child="yes")
    first = room.find_offer(case, "shelter")
    room.now = START + timedelta(minutes=10)
    await room.take_due_steps()
    await room.reply("declined", first, reason="no_capacity")
    await room.sweep_until(START + timedelta(hours=1), timedelta(minutes=1))

    next_offer = room.find_offer(case, "shelter")
    assert [wire_name for wire_name, _ in answer_steps(room, first)] == ["referral.reminded.v1"]
    assert [wire_name for wire_name, _ in answer_steps(room, next_offer)] == list(STEPS[1:])


async def test_a_year_of_low_urgency_runs_in_seconds_and_working_days_leave_out_the_weekend(room: Room) -> None:
    case = await room.report(violence=["psychological"], safe_now="yes")
    offer = room.find_offer(case, "psychologist")

    await room.sweep_until(START + timedelta(days=365), timedelta(hours=12))

    overdue = room.find_data("referral.overdue.v1", referral_id=offer["referral_id"], clock="answer")
    assert [entry["due_at"][:10] for entry in overdue] == ["2026-12-02"]
    left = await room.rows("SELECT 1 FROM clock WHERE next_at IS NOT NULL")
    assert left == []


async def test_a_case_that_cannot_be_decrypted_does_not_hold_up_the_clocks_of_others(room: Room) -> None:
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


async def test_a_clock_that_cannot_be_read_does_not_hold_up_others(room: Room) -> None:
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


async def test_due_referrals_are_found_in_the_order_in_which_they_fell_due(room: Room) -> None:
    for _ in range(5):
        await room.report()
        room.now += timedelta(hours=1)
    room.now += timedelta(days=1)

    async with room.transaction() as transaction:
        found = await repository.find_due_referrals(transaction, room.now, 1_000)

    rows = await room.rows(
        "SELECT referral_id FROM clock WHERE next_at <= $1 GROUP BY referral_id ORDER BY min(next_at)", room.now
    )
    due_at = {row["referral_id"]: row["next_at"] for row in await room.rows(
        "SELECT referral_id, min(next_at) AS next_at FROM clock GROUP BY referral_id"
    )}  # fmt: skip
    assert len(found) == len(rows) > 10
    assert [due_at[referral_id] for referral_id in found] == [due_at[row["referral_id"]] for row in rows]

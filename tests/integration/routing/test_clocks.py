"""Clocks notify the right people, each step once, across outages and failures."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from simpul_agreement.model import ClockName, Step
from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.api.queries import build_timeline
from simpul_routing.use_cases.sweep_clocks import MAX_STEPS
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

STEPS = ("referral.reminded.v1", "referral.overdue.v1", "referral.escalated.v1")


def find_steps(room: Room) -> list[dict[str, Any]]:
    """Finds the steps that were taken, one for each service that an event is about."""
    return [
        {"type": event["type"], **event["data"], **service}
        for event in room.events
        if event["type"] in STEPS
        for service in event["data"]["services"]
    ]


def answer_steps(room: Room, offer: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [
        (step["type"], step["escalation_targets"])
        for step in find_steps(room)
        if (step["service_id"], step["clock"]) == (offer["service_id"], "answer")
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


async def test_a_case_whose_agreement_is_gone_keeps_its_escalation_and_its_replies(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", suggested_exclusions=["ylpa"])
    exam, pep = room.find_offer(case, "forensic_exam"), room.find_offer(case, "pep_72h")
    await room.rows("UPDATE referral_service SET agreement = '2025-01'")
    await room.rows("UPDATE case_plan SET agreement = '2025-01'")

    await room.reply("accepted", pep)
    await room.reply("started", pep)
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))
    await room.reply("declined", exam, reason="no_capacity")

    assert [targets for _, targets in answer_steps(room, exam)] == [
        ["rs-rujukan"],
        ["uptd-ppa"],
        ["uptd-ppa-head", "city-board"],
    ]
    assert len(room.find_data("referral.exclusion_suggested.v1")) == 4
    assert [one["service_id"] for one in room.find_services("referral.started.v1")] == [pep["service_id"]]
    assert [one["service_id"] for one in room.find_services("referral.rerouted.v1")] == [exam["service_id"]]


async def test_a_later_exclusion_is_published_once_even_without_a_referral(room: Room) -> None:
    case = await room.report(violence=["physical"], safe_now="yes")
    agencies = {entry["agency"] for entry in room.find_offers(case_id=str(case))}
    assert "satgas-kec-pesantren" not in agencies

    for agency in ("satgas-kec-pesantren", "uptd-ppa"):
        await room.triage.exclude_agency(
            case, await room.version(case), agency, by=UPTD, reason="related to the suspect"
        )

    exclusions = room.find_data("case.agency_excluded.v1")
    assert [(entry["case_id"], entry["agency"]) for entry in exclusions] == [
        (str(case), "satgas-kec-pesantren"),
        (str(case), "uptd-ppa"),
    ]


async def test_an_answer_stops_its_clock_and_leaves_the_others_running(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "pep_72h")
    room.now = START + timedelta(minutes=8)
    await room.take_due_steps()
    await room.reply("accepted", offer)
    await room.sweep_until(START + timedelta(hours=50), timedelta(minutes=30))

    window = {"service_id": offer["service_id"], "clock": "health_window"}
    of_window = [entry["step"] for wire_name in STEPS for entry in room.find_services(wire_name, **window)]
    assert [wire_name for wire_name, _ in answer_steps(room, offer)] == ["referral.reminded.v1"]
    assert of_window == [50, 100, 200]


async def test_steps_missed_during_an_outage_are_taken_in_order_and_once(room: Room) -> None:
    case = await room.report(safe_now="no")
    room.now = START + timedelta(days=5)
    await room.take_due_steps()
    await room.take_due_steps()

    for offer in room.find_offers(case_id=str(case)):
        assert [wire_name for wire_name, _ in answer_steps(room, offer)] == list(STEPS)


async def test_the_police_must_have_taken_sexual_violence_within_three_days_of_when_it_was_known(room: Room) -> None:
    case = await room.report(violence=["sexual"])
    report = room.find_offer(case, "police_report")
    await room.sweep_until(START + timedelta(days=7), timedelta(hours=2))

    steps = [step for step in find_steps(room) if step["clock"] == "police_report"]
    assert report["agency"] == "polres-ppa"
    assert {entry["service_id"] for entry in steps} == {report["service_id"]}
    assert [entry["step"] for entry in steps] == [50, 100, 200]


async def test_concurrent_sweepers_publish_each_step_once(room: Room) -> None:
    for _ in range(12):
        await room.report(safe_now="no")
    room.now = START + timedelta(days=1)

    await asyncio.gather(*(room.take_due_steps() for _ in range(3)))

    steps = [(step["service_id"], step["clock"], step["step"]) for step in find_steps(room)]
    assert len(steps) == len(set(steps)) > MAX_STEPS


async def test_a_completed_service_has_no_more_steps(room: Room) -> None:
    case = await room.report(safe_now="no")
    offer = room.find_offer(case, "case_management")
    await room.reply("accepted", offer)
    await room.reply("completed", offer, outcome="served")

    await room.sweep_until(START + timedelta(days=10), timedelta(hours=6))

    assert [step for step in find_steps(room) if step["service_id"] == offer["service_id"]] == []


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

    overdue = room.find_services("referral.overdue.v1", service_id=offer["service_id"], clock="answer")
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
        offer = room.find_offers(case_id=str(case))[0]
        assert [wire_name for wire_name, _ in answer_steps(room, offer)] == list(STEPS)
    # Its exclusions are unknown, so only the level above every agency is notified.
    offer = room.find_offers(case_id=str(broken))[0]
    assert [targets for _, targets in answer_steps(room, offer)] == [[], ["city-board"], ["city-board"]]


async def test_two_laws_that_set_the_same_deadline_make_one_of_it(room: Room) -> None:
    case = await room.report(violence=["sexual", "trafficking"])

    police = room.find_offer(case, "police_report")
    rows = await room.rows("SELECT clock FROM clock WHERE service_id = $1", UUID(police["service_id"]))
    assert [row["clock"] for row in rows].count("police_report") == 1


async def test_a_clock_that_cannot_be_read_does_not_hold_up_others(room: Room) -> None:
    faulty, sound = await room.report(safe_now="no"), await room.report(safe_now="no")
    spoil = text("UPDATE clock SET step = '?' WHERE service_id IN (SELECT service_id FROM service WHERE case_id = :id)")
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
        "SELECT referral_id FROM clock JOIN service USING (service_id) WHERE next_at <= $1 GROUP BY referral_id"
        " ORDER BY min(next_at)",
        room.now,
    )
    due_at = {
        row["referral_id"]: row["next_at"]
        for row in await room.rows(
            "SELECT referral_id, min(next_at) AS next_at FROM clock JOIN service USING (service_id)"
            " GROUP BY referral_id"
        )
    }
    assert len(found) == len(rows) > 10
    assert [due_at[referral_id] for referral_id in found] == [due_at[row["referral_id"]] for row in rows]


async def test_lateness_stays_in_the_history_after_a_late_acceptance(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", place="school")
    offer = room.find_offer(case, "forensic_exam")
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=10))
    await room.reply("accepted", offer)

    async with room.engine.connect() as connection:
        lines = [line["text"] for line in await build_timeline(connection, room.keys, case, {}, "en")]
        clocks = (await repository.list_clocks(connection, case))[UUID(offer["service_id"])]

    of_answer = [line for line in lines if "rs-rujukan: Answer of the agency" in line]
    accepted = next(index for index, line in enumerate(lines) if "rs-rujukan: accepted" in line)
    [answer] = [clock for clock in clocks if clock.clock is ClockName.ANSWER]
    assert [line.rpartition(": ")[2].partition(";")[0] for line in of_answer] == [
        "half of the time has passed",
        "overdue",
        "still overdue",
    ]
    assert lines.index(of_answer[-1]) < accepted
    assert (answer.is_late(room.now), answer.last_step(START, room.now)) == (True, Step.TWICE)


async def test_a_list_by_deadline_starts_with_what_is_late_and_ends_with_what_has_ended(room: Room) -> None:
    ended, calm, danger = await room.report(), await room.report(), await room.report(safe_now="no")
    await room.end.void_case(ended, await room.version(ended), by=UPTD, reason="entered twice")
    found: list[Mapping[str, Any]] = []
    after = FIRST_PAGE
    async with room.engine.connect() as connection:
        scope = await room.see.find_scope(connection, UPTD)
        while rows := await repository.list_cases(
            connection, after, 1, scope, is_open=None, urgency=None, is_by_deadline=True
        ):
            found += rows
            after = rows[0]["position"], rows[0]["case_id"]

    assert [row["case_id"] for row in found] == [danger, calm, ended]
    assert found[0]["next_due_at"] < found[1]["next_due_at"]
    assert [row["next_due"] for row in found][1:] == ["receipt", None]


def met(room: Room) -> list[tuple[str, str]]:
    """The deadlines that are published as met: agency and clock, one for each service."""
    return [
        (event["data"]["agency"], event["data"]["clock"])
        for event in room.events
        if event["type"] == "referral.deadline_met.v1"
        for _ in event["data"]["services"]
    ]


async def test_a_late_receipt_and_a_late_contact_are_published_as_met(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", place="school")
    offer = room.find_offer(case, "forensic_exam")
    late = {step["clock"] for step in find_steps(room)}
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))
    await room.reply("delivered", offer)
    received = met(room)
    await room.reply("accepted", offer)
    await room.sweep_until(START + timedelta(days=3), timedelta(hours=1))
    await room.reply("scheduled", offer, scheduled_for=room.now + timedelta(hours=1))

    assert late == set()
    assert set(received) == {("rs-rujukan", "receipt")}
    assert set(met(room)[len(received) :]) == {("rs-rujukan", "contact")}
    assert not [
        event for event in room.find_events_sent_to("rs-rujukan") if event["type"] == "referral.deadline_met.v1"
    ]


async def test_what_is_done_in_time_or_shown_by_another_event_is_not_published_as_met(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes", place="school")
    prompt = room.find_offer(case, "forensic_exam")
    late = next(offer for offer in room.find_offers(case_id=str(case)) if offer["agency"] != prompt["agency"])
    await room.reply("delivered", prompt)
    await room.reply("accepted", prompt)
    await room.sweep_until(START + timedelta(days=8), timedelta(hours=4))
    before = met(room)
    await room.reply("declined", late, reason="no_capacity")

    assert before == []
    assert {clock for _, clock in met(room)} <= {"receipt", "contact"}
    assert "answer" not in {clock for _, clock in met(room)}

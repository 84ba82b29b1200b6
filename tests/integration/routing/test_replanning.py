"""Replanning publishes exactly what changes, and nothing to excluded agencies."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_routing.errors import CaseChanged, CaseMerged, OtherServiceOutstanding, ReasonMissing
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReferralRole, Right, RightState, Service, Urgency
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

HOME = {"violence": ["physical"], "kelurahan": "Bujel", "safe_now": "yes", "injured": "no"}


def services(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["service"] for entry in entries if entry["role"] == "lead"}


def replanned(room: Room) -> dict[str, Any]:
    return room.find_data("case.replanned.v1")[-1]


async def clock(room: Room, offer: dict[str, Any], name: str) -> dict[str, Any]:
    return (
        await room.rows(
            "SELECT started_at, due_at, step, stopped_at FROM clock WHERE service_id = $1 AND clock = $2",
            UUID(offer["service_id"]),
            name,
        )
    )[0]


async def test_new_facts_add_what_is_needed_and_keep_the_rest(room: Room) -> None:
    case = await room.report(**HOME)
    before = services(room.find_offers())
    room.now += timedelta(hours=1)
    await room.amend(case, injured="yes")

    change = replanned(room)
    assert change["why"] == "facts_amended"
    assert "medical_care" in services(change["added"])
    assert services(change["kept"]) == before
    assert change["withdrawn"] == []
    offered = room.find_offers()
    assert len({(entry["service"], entry["agency"], entry["role"]) for entry in offered}) == len(offered)


async def test_an_unneeded_service_is_revoked_unless_its_service_started(room: Room) -> None:
    case = await room.report(**HOME | {"injured": "yes"})
    care, exam = room.find_offer(case, "medical_care"), room.find_offer(case, "forensic_exam")
    await room.reply("accepted", care)
    await room.reply("started", care)
    await room.amend(case, injured="no")

    assert "forensic_exam" in services(replanned(room)["withdrawn"])
    assert "medical_care" in services(replanned(room)["kept"])
    [revoked] = room.find_services("referral.revoked.v1", service_id=exam["service_id"])
    assert (revoked["agency"], revoked["why"]) == (exam["agency"], "facts_amended")
    await room.reply("accepted", exam)
    assert room.find_data("referral.reply_refused.v1")[-1]["reason"] == "already_ended"


async def test_kept_services_are_amended_only_if_facts_changed(room: Room) -> None:
    case = await room.report(**HOME)
    await room.amend(case)
    assert room.find_data("referral.amended.v1") == []
    await room.amend(case, pregnant="yes")

    amended = {entry["service_id"] for entry in room.find_services("referral.amended.v1")}
    assert amended == {entry["service_id"] for entry in replanned(room)["kept"]}
    assert all(
        entry["sealed"]["facts"]["recipient"] == entry["agency"] for entry in room.find_data("referral.amended.v1")
    )


async def test_facts_raise_the_urgency_and_bring_deadlines_nearer_and_never_lower_it(room: Room) -> None:
    case = await room.report(**HOME)
    lead = room.find_offer(case, "case_management")
    before = await clock(room, lead, "answer")
    room.now += timedelta(minutes=10)
    await room.amend(case, safe_now="no")
    nearer = await clock(room, lead, "answer")
    await room.amend(case, safe_now="yes")

    assert nearer["due_at"] == room.now + timedelta(minutes=15) < before["due_at"]
    assert await clock(room, lead, "answer") == nearer
    assert replanned(room)["urgency"] == "high"


async def test_a_step_is_not_repeated_after_a_deadline_moved_closer(room: Room) -> None:
    case = await room.report(**HOME)
    lead = room.find_offer(case, "case_management")
    await room.sweep_until(START + timedelta(days=3), timedelta(hours=1))
    reminders = len(room.find_services("referral.reminded.v1", service_id=lead["service_id"], clock="answer"))
    await room.triage.change_urgency(case, await room.version(case), Urgency.HIGH, by=UPTD, reason="")
    await room.sweep_until(room.now + timedelta(hours=2), timedelta(minutes=5))

    assert (
        reminders == len(room.find_services("referral.reminded.v1", service_id=lead["service_id"], clock="answer")) == 1
    )


async def test_urgency_is_raised_at_any_time_and_lowered_only_with_a_reason(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no"})
    lead = room.find_offer(case, "case_management")
    with pytest.raises(ReasonMissing):
        await room.triage.change_urgency(case, await room.version(case), Urgency.LOW, by=UPTD, reason="")
    await room.triage.change_urgency(
        case, await room.version(case), Urgency.LOW, by=UPTD, reason="with her aunt, in safety"
    )
    relaxed = await clock(room, lead, "answer")
    # The facts demand no more than before, so the decision of the person stays.
    await room.amend(case, disability_need="yes")
    lowered = replanned(room)["urgency"]
    await room.triage.change_urgency(case, await room.version(case), Urgency.HIGH, by=UPTD, reason="")

    assert relaxed["due_at"] > START + timedelta(minutes=15)
    assert lowered == "low"
    assert replanned(room)["urgency"] == "high"
    assert {row["urgency"] for row in await room.rows("SELECT urgency FROM service WHERE ended_at IS NULL")} == {"high"}


async def test_r6_an_agency_that_declares_a_conflict_loses_everything_and_hears_nothing_more(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "perpetrator_lives_with_child": "yes"})
    shelter = room.find_offer(case, "shelter")
    agency = shelter["agency"]
    await room.reply("declined", shelter, reason="conflict_of_interest")
    addressed = len(room.find_events_sent_to(agency))
    await room.sweep_until(room.now + timedelta(hours=3), timedelta(minutes=10))
    await room.amend(case, injured="yes")

    assert [
        row["service"]
        for row in await room.rows("SELECT service FROM service WHERE agency = $1 AND ended_at IS NULL", agency)
    ] == []
    assert {entry["type"] for entry in room.find_events_sent_to(agency)} == {
        "referral.offered.v1",
        "referral.declined.v1",
    }
    assert len(room.find_events_sent_to(agency)) == addressed
    assert not any(agency in entry.get("escalation_targets", ()) for entry in room.find_services("referral.overdue.v1"))
    assert room.find_offer(case, "shelter")["agency"] != agency


async def test_r6_an_agency_excluded_by_hand_loses_a_started_service_and_its_clock_continues(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "perpetrator_lives_with_child": "yes"})
    shelter = room.find_offer(case, "shelter")
    await room.reply("accepted", shelter)
    await room.reply("started", shelter)
    started = await clock(room, shelter, "service")
    room.now += timedelta(minutes=30)
    await room.triage.exclude_agency(
        case, await room.version(case), shelter["agency"], by=UPTD, reason="the suspect's brother works there"
    )

    next_offer = room.find_offer(case, "shelter")
    assert next_offer["agency"] != shelter["agency"]
    assert next_offer["rerouted_from"] == shelter["service_id"]
    assert (await clock(room, next_offer, "service"))["due_at"] == started["due_at"]
    assert [entry["type"] for entry in room.find_events_sent_to(shelter["agency"])][-1] == "referral.started.v1"
    assert replanned(room)["why"] == "agency_excluded"


async def test_amended_facts_cannot_let_an_excluded_agency_in_again(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "excluded_agencies": ["satgas-kel-bujel"]})
    await room.amend(case, excluded_agencies=[], injured="yes")

    assert room.find_events_sent_to("satgas-kel-bujel") == []


async def test_a_merged_duplicate_hands_its_own_referrals_to_the_other_case(room: Room) -> None:
    case = await room.report(**HOME)
    duplicate = await room.report(**HOME | {"in_school": "yes", "place": "school", "excluded_agencies": ["ylpa"]})
    school = room.find_offer(duplicate, "stay_in_school")
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")

    next_offer = room.find_offer(case, "stay_in_school")
    assert (next_offer["agency"], next_offer["rerouted_from"]) == (school["agency"], school["service_id"])
    assert room.find_data("case.merged.v1")[-1] | {"merged_at": "", "sealed": {}} == {
        "case_id": str(duplicate),
        "into": str(case),
        "merged_at": "",
        "sealed": {},
    }
    assert {row["state"] for row in await room.rows("SELECT state FROM service WHERE case_id = $1", duplicate)} == {
        "cancelled"
    }
    leads = await room.rows(
        "SELECT service FROM service WHERE case_id = $1 AND role = 'lead' AND ended_at IS NULL", case
    )
    assert len(leads) == len({row["service"] for row in leads})
    assert (
        await room.rows("SELECT 1 FROM service WHERE case_id = $1 AND agency = 'ylpa' AND ended_at IS NULL", case) == []
    )
    with pytest.raises(CaseMerged):
        await room.end.close_case(duplicate, await room.version(duplicate), CaseEnd.CLOSED, by=UPTD, reason="x")


async def test_new_facts_about_a_merged_duplicate_reach_the_case_it_was_merged_into(room: Room) -> None:
    case = await room.report(**HOME)
    duplicate = await room.report(**HOME)
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")
    await room.amend(duplicate, violence=["sexual"])

    assert replanned(room)["case_id"] == str(case)
    assert {"polres-ppa", "uptd-ppa"} <= {entry["agency"] for entry in room.find_offers(case_id=str(case))}


async def test_new_facts_about_a_case_that_ended_open_it_again(room: Room) -> None:
    case = await room.report(**HOME)
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="nothing in it")
    await room.amend(case, safe_now="no")

    assert len(room.find_data("case.reopened.v1", case_id=str(case))) == 1
    assert services(replanned(room)["added"]) >= {"case_management", "emergency_protection"}


async def merged(room: Room, duplicate: UUID, case: UUID) -> None:
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")


def open_rows(room: Room, case: UUID) -> Any:
    return room.rows(
        "SELECT service_id::text, referral_id::text, service, agency, role, escalated_service, escalated_role"
        " FROM service WHERE case_id = $1 AND ended_at IS NULL",
        case,
    )


async def test_amending_one_report_keeps_the_facts_of_a_merged_duplicate(room: Room) -> None:
    case, duplicate = await room.report(**HOME), await room.report(**HOME | {"violence": ["sexual"]})
    await merged(room, duplicate, case)
    before = {row["service"] for row in await open_rows(room, case)}
    await room.amend(case, disability_need="yes")

    assert before <= {row["service"] for row in await open_rows(room, case)}
    assert replanned(room)["withdrawn"] == []
    assert (await room.rows("SELECT mediation_locked FROM case_plan WHERE case_id = $1", case)) == [
        {"mediation_locked": True}
    ]


async def test_more_dangerous_facts_of_a_merged_duplicate_prevail(room: Room) -> None:
    case, duplicate = await room.report(**HOME), await room.report(**HOME)
    await merged(room, duplicate, case)
    await room.amend(duplicate, safe_now="no", injured="yes")

    assert replanned(room)["urgency"] == "high"
    assert "medical_care" in services(replanned(room)["added"])


async def test_two_cases_may_be_more_urgent_together_than_each_alone(room: Room) -> None:
    case = await room.report(**HOME | {"violence": ["sexual"]})
    duplicate = await room.report(**HOME | {"perpetrator_lives_with_child": "yes"})
    alone = await room.rows("SELECT DISTINCT urgency FROM case_plan")
    await merged(room, duplicate, case)

    assert alone == [{"urgency": "medium"}]
    assert replanned(room)["urgency"] == "high"


async def raise_shelter(room: Room, case: UUID, role: str = "lead") -> dict[str, Any]:
    """Declines the shelter until it is escalated to the hub; returns the manual triage."""
    while True:
        [entry, *_] = [
            row
            for row in await open_rows(room, case)
            if (row["escalated_service"] == "shelter" or row["service"] == "shelter")
            and row["role"] in (role, "lead")
            and (row["escalated_service"] or row["role"] == role)
        ]
        if entry["escalated_service"]:
            return {**entry, "case_id": str(case)}
        await room.reply("declined", {**entry, "case_id": str(case)}, reason="no_capacity")


SHELTER = HOME | {"safe_now": "no", "perpetrator_lives_with_child": "yes"}


async def test_what_a_merge_carried_over_outlives_the_next_decision(room: Room) -> None:
    case, other = await room.report(**HOME), await room.report(**SHELTER)
    await raise_shelter(room, other)
    await room.triage.offer_service(
        other,
        await room.version(other),
        Service.SCHOOL_TRANSFER,
        "klinik-pendidikan",
        ReferralRole.LEAD,
        by=UPTD,
        reason="",
    )
    await merged(room, other, case)
    await room.amend(case, disability_need="yes")
    await room.amend(case, pregnant="yes")

    rows = await open_rows(room, case)
    assert "school_transfer" in {row["service"] for row in rows}
    assert [row["escalated_role"] for row in rows if row["escalated_service"] == "shelter"] == ["lead"]


async def test_a_merge_keeps_clocks_and_offers_nothing_again_that_was_completed(room: Room) -> None:
    case, duplicate = await room.report(**HOME), await room.report(**HOME | {"injured": "yes"})
    exam, care = room.find_offer(duplicate, "forensic_exam"), room.find_offer(duplicate, "medical_care")
    await room.reply("accepted", exam)
    await room.reply("completed", exam, outcome="served")
    room.now += timedelta(days=2)
    await merged(room, duplicate, case)

    next_offer = room.find_offer(case, "medical_care")
    assert (next_offer["answer_by"], next_offer["rerouted_from"]) == (care["answer_by"], care["service_id"])
    assert "forensic_exam" not in {row["service"] for row in await open_rows(room, case)}
    [row] = await room.rows(
        "SELECT rights->'physical_rehabilitation'->>'state' AS s FROM case_plan WHERE case_id = $1", case
    )
    assert row["s"] == "in_progress"


async def test_a_right_answered_by_hand_in_a_duplicate_counts_in_the_other_case(room: Room) -> None:
    case, duplicate = await room.report(**HOME), await room.report(**HOME)
    await room.end.answer_right(
        duplicate,
        await room.version(duplicate),
        Right.RESTITUTION,
        RightState.REFUSED_BY_VICTIM,
        by=UPTD,
        reason="asked",
    )
    await merged(room, duplicate, case)

    [row] = await room.rows("SELECT rights->'restitution' AS r FROM case_plan WHERE case_id = $1", case)
    assert json.loads(row["r"]) == {"state": "refused_by_victim", "reason": "by_hand"}


async def test_earlier_duplicates_follow_a_case_that_is_merged_itself(room: Room) -> None:
    first, second, third = [await room.report(**HOME) for _ in range(3)]
    await merged(room, first, second)
    await merged(room, second, third)
    await room.amend(first, injured="yes")

    assert replanned(room)["case_id"] == str(third)
    with pytest.raises(CaseMerged) as refusal:
        await room.end.reopen_case(first, await room.version(first), by=UPTD, reason="x")
    assert refusal.value.into == third


async def test_an_escalated_service_stays_outstanding_until_an_agency_takes_it(room: Room) -> None:
    case = await room.report(**SHELTER)
    triage = await raise_shelter(room, case)
    await room.amend(case, disability_need="yes")
    await room.amend(case)
    still = [row["service_id"] for row in await open_rows(room, case) if row["escalated_service"] == "shelter"]
    assert still == [triage["service_id"]]
    with pytest.raises(OtherServiceOutstanding):
        await room.triage.offer_service(
            case,
            await room.version(case),
            Service.COUNSELLING,
            "uptd-ppa",
            ReferralRole.LEAD,
            by=UPTD,
            reason="x",
            settles=UUID(triage["service_id"]),
        )
    await room.reply("accepted", triage)
    await room.reply("completed", triage, outcome="not_needed")

    [row] = await room.rows("SELECT rights->'social_rehabilitation'->>'state' AS s FROM case_plan")
    assert row["s"] in ("not_applicable", "referred", "in_progress")
    await room.amend(case, pregnant="yes")
    assert "shelter" not in services(replanned(room)["added"])


async def test_an_escalated_support_does_not_cover_the_lead(room: Room) -> None:
    case = await room.report(**SHELTER)
    await raise_shelter(room, case, "support")
    lead = room.find_offer(case, "shelter")
    await room.triage.exclude_agency(case, await room.version(case), lead["agency"], by=UPTD, reason="too close")

    # Agencies that declined the support are not offered the lead, so it is escalated to the hub too.
    outstanding = [
        row["escalated_role"] or row["role"]
        for row in await open_rows(room, case)
        if "shelter" in (row["service"], row["escalated_service"])
    ]
    assert sorted(outstanding) == ["lead", "support"]


async def test_r6_of_declines_that_come_together_none_is_handed_to_who_declares_a_conflict(room: Room) -> None:
    case = await room.report(**SHELTER)
    own = [row for row in await open_rows(room, case) if row["agency"] == "uptd-ppa" and row["role"] == "lead"]
    [shelter] = [row for row in await open_rows(room, case) if row["service"] == "shelter" and row["role"] == "lead"]
    conflict, *others = [{**row, "case_id": str(case)} for row in own]
    before = len(room.find_events_sent_to("uptd-ppa"))
    await room.receive(
        [
            *(room.build_reply("declined", other, reason="no_capacity") for other in others),
            room.build_reply("declined", {**shelter, "case_id": str(case)}, reason="no_capacity"),
            room.build_reply("declined", conflict, reason="conflict_of_interest"),
        ]
    )

    assert {event["type"] for event in room.find_events_sent_to("uptd-ppa")[before:]} == {"referral.declined.v1"}
    assert "uptd-ppa" not in {row["agency"] for row in await open_rows(room, case)}


async def test_a_conflict_and_an_ordinary_decline_at_once_never_wait_for_each_other_in_a_circle(room: Room) -> None:
    for _ in range(5):
        case = await room.report(**SHELTER)
        rows = [{**row, "case_id": str(case)} for row in await open_rows(room, case)]
        first, second = rows[0], next(row for row in rows if row["agency"] != rows[0]["agency"])

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(room.reply("declined", first, reason="conflict_of_interest"))
            tasks.create_task(room.reply("declined", second, reason="no_capacity"))


async def test_a_referral_by_hand_is_offered_again_when_the_case_is_reopened(room: Room) -> None:
    case = await room.report(**HOME)
    await room.triage.offer_service(
        case,
        await room.version(case),
        Service.SCHOOL_TRANSFER,
        "klinik-pendidikan",
        ReferralRole.LEAD,
        by=UPTD,
        reason="",
    )
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="came back")

    assert "school_transfer" in services(replanned(room)["added"])


async def test_a_right_is_no_longer_being_served_when_the_agency_gives_up(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    await room.reply("accepted", aid)
    await room.reply("started", aid)
    await room.reply("declined", aid, reason="no_capacity")

    [row] = await room.rows("SELECT rights->'social_aid'->>'state' AS s FROM case_plan")
    assert row["s"] == "referred"


async def test_a_version_grows_with_every_change_of_the_case_and_its_referrals(room: Room) -> None:
    case = await room.report(**HOME)
    versions = [await room.version(case)]
    await room.reply("accepted", room.find_offer(case, "case_management"))
    versions.append(await room.version(case))
    await room.reply("declined", room.find_offer(case, "case_management"), reason="no_capacity")
    versions.append(await room.version(case))

    await room.reply("delivered", room.find_offer(case, "case_management"))
    assert versions == sorted(set(versions))
    assert await room.version(case) == versions[-1]
    with pytest.raises(CaseChanged):
        await room.end.close_case(case, versions[0], CaseEnd.CLOSED, by=UPTD, reason="x")


async def test_services_that_end_at_the_same_moment_bring_the_case_to_monitoring(room: Room) -> None:
    for _ in range(4):
        case = await room.report(violence=["neglect"], safe_now="yes")
        leads = [{**row, "case_id": str(case)} for row in await open_rows(room, case) if row["role"] == "lead"]
        for lead in leads:
            await room.reply("accepted", lead)
            await room.reply("started", lead)
        async with asyncio.TaskGroup() as tasks:
            for lead in leads:
                tasks.create_task(room.reply("completed", lead, outcome="served"))

        assert await room.rows("SELECT state FROM case_plan WHERE case_id = $1", case) == [{"state": "monitoring"}]


async def test_a_case_without_open_leads_is_monitored(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    leads = [{**row, "case_id": str(case)} for row in await open_rows(room, case) if row["role"] == "lead"]
    await room.reply("accepted", leads[0])
    await room.reply("started", leads[0])
    await room.reply("completed", leads[0], outcome="served")
    for lead in leads[1:]:
        await room.cancel(lead, CancelReason.TAKEN_BACK)

    assert await room.rows("SELECT state FROM case_plan") == [{"state": "monitoring"}]

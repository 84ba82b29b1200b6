"""A case is decided again: precisely what changes is said, and nobody who must not hear anything does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_routing.errors import CaseMerged, ReasonMissing
from simpul_schema.vocabulary import CaseEnd, Urgency
from tests.integration.routing.conftest import START, Room

HOME = {"violence": ["physical"], "kelurahan": "Bujel", "safe_now": "yes", "injured": "no"}


def services(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["service"] for entry in entries if entry["role"] == "lead"}


def replanned(room: Room) -> dict[str, Any]:
    return room.of("case.replanned.v1")[-1]


async def clock(room: Room, referral: dict[str, Any], name: str) -> dict[str, Any]:
    return (await room.rows(
        "SELECT started_at, due_at, step, stopped_at FROM clock WHERE referral_id = $1 AND clock = $2",
        UUID(referral["referral_id"]), name,
    ))[0]  # fmt: skip


async def test_new_facts_add_what_is_needed_and_keep_the_rest(room: Room) -> None:
    case = await room.report(**HOME)
    before = services(room.of("referral.offered.v1"))
    room.now += timedelta(hours=1)
    await room.amend(case, injured="yes")

    change = replanned(room)
    assert change["why"] == "facts_amended"
    assert "medical_care" in services(change["added"])
    assert services(change["kept"]) == before
    assert change["withdrawn"] == []
    offered = room.of("referral.offered.v1")
    assert len({(entry["service"], entry["agency"], entry["role"]) for entry in offered}) == len(offered)


async def test_what_nobody_needs_any_more_is_revoked_unless_it_has_begun(room: Room) -> None:
    case = await room.report(**HOME | {"injured": "yes"})
    care, exam = room.offered(case, "medical_care"), room.offered(case, "forensic_exam")
    await room.reply("accepted", care)
    await room.reply("started", care)
    await room.amend(case, injured="no")

    assert "forensic_exam" in services(replanned(room)["withdrawn"])
    assert "medical_care" in services(replanned(room)["kept"])
    [revoked] = room.of("referral.revoked.v1", referral_id=exam["referral_id"])
    assert (revoked["agency"], revoked["why"]) == (exam["agency"], "facts_amended")
    await room.reply("accepted", exam)
    assert room.of("referral.reply_refused.v1")[-1]["reason"] == "already_ended"


async def test_who_stays_learns_the_new_facts_and_nothing_is_told_where_nothing_changed(room: Room) -> None:
    case = await room.report(**HOME)
    await room.amend(case)
    assert room.of("referral.amended.v1") == []
    await room.amend(case, pregnant="yes")

    told = {entry["referral_id"] for entry in room.of("referral.amended.v1")}
    assert told == {entry["referral_id"] for entry in replanned(room)["kept"]}
    assert all(entry["sealed"]["facts"]["recipient"] == entry["agency"] for entry in room.of("referral.amended.v1"))


async def test_facts_raise_the_urgency_and_bring_deadlines_nearer_and_never_lower_it(room: Room) -> None:
    case = await room.report(**HOME)
    lead = room.offered(case, "intake")
    before = await clock(room, lead, "answer")
    room.now += timedelta(minutes=10)
    await room.amend(case, safe_now="no")
    nearer = await clock(room, lead, "answer")
    await room.amend(case, safe_now="yes")

    assert nearer["due_at"] == room.now + timedelta(minutes=15) < before["due_at"]
    assert await clock(room, lead, "answer") == nearer
    assert replanned(room)["urgency"] == "high"


async def test_a_step_that_was_told_is_not_told_again_when_the_deadline_comes_nearer(room: Room) -> None:
    case = await room.report(**HOME)
    lead = room.offered(case, "intake")
    await room.sweep_until(START + timedelta(days=3), timedelta(hours=1))
    told = len(room.of("referral.reminded.v1", referral_id=lead["referral_id"], clock="answer"))
    await room.triage.change_urgency(case, await room.version(case), Urgency.HIGH, by="uptd-ppa", reason="")
    await room.sweep_until(room.now + timedelta(hours=2), timedelta(minutes=5))

    assert told == len(room.of("referral.reminded.v1", referral_id=lead["referral_id"], clock="answer")) == 1


async def test_risk_is_raised_at_any_time_and_lowered_only_with_a_reason(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no"})
    lead = room.offered(case, "intake")
    with pytest.raises(ReasonMissing):
        await room.triage.change_urgency(case, 1, Urgency.LOW, by="uptd-ppa", reason="")
    await room.triage.change_urgency(case, 1, Urgency.LOW, by="uptd-ppa", reason="with her aunt, in safety")
    relaxed = await clock(room, lead, "answer")
    # The facts say no more than they did, so what a person decided stays.
    await room.amend(case, disability_need="yes")
    lowered = replanned(room)["urgency"]
    await room.triage.change_urgency(case, await room.version(case), Urgency.HIGH, by="uptd-ppa", reason="")

    assert relaxed["due_at"] > START + timedelta(minutes=15)
    assert lowered == "low"
    assert replanned(room)["urgency"] == "high"
    assert {row["urgency"] for row in await room.rows("SELECT urgency FROM referral WHERE ended_at IS NULL")} == {
        "high"
    }


async def test_r6_an_agency_that_declares_a_conflict_loses_everything_and_hears_nothing_more(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "perpetrator_lives_with_child": "yes"})
    shelter = room.offered(case, "shelter")
    agency = shelter["agency"]
    await room.reply("declined", shelter, reason="conflict_of_interest")
    addressed = len(room.sent_to(agency))
    await room.sweep_until(room.now + timedelta(hours=3), timedelta(minutes=10))
    await room.amend(case, injured="yes")

    assert [row["service"] for row in await room.rows(
        "SELECT service FROM referral WHERE agency = $1 AND ended_at IS NULL", agency)] == []  # fmt: skip
    assert {entry["type"] for entry in room.sent_to(agency)} == {"referral.offered.v1", "referral.declined.v1"}
    assert len(room.sent_to(agency)) == addressed
    assert not any(agency in entry.get("told", ()) for entry in room.of("referral.overdue.v1"))
    assert room.offered(case, "shelter")["agency"] != agency


async def test_r6_an_agency_excluded_by_hand_loses_what_it_has_begun_and_its_clock_goes_on(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "perpetrator_lives_with_child": "yes"})
    shelter = room.offered(case, "shelter")
    await room.reply("accepted", shelter)
    await room.reply("started", shelter)
    started = await clock(room, shelter, "service")
    room.now += timedelta(minutes=30)
    await room.triage.exclude(
        case, await room.version(case), shelter["agency"], by="uptd-ppa", reason="the suspect's brother works there"
    )

    following = room.offered(case, "shelter")
    assert following["agency"] != shelter["agency"]
    assert following["handed_over_from"] == shelter["referral_id"]
    assert (await clock(room, following, "service"))["due_at"] == started["due_at"]
    assert [entry["type"] for entry in room.sent_to(shelter["agency"])][-1] == "referral.started.v1"
    assert replanned(room)["why"] == "agency_excluded"


async def test_amended_facts_cannot_let_an_excluded_agency_in_again(room: Room) -> None:
    case = await room.report(**HOME | {"safe_now": "no", "excluded_agencies": ["satgas-kel-bujel"]})
    await room.amend(case, excluded_agencies=[], injured="yes")

    assert room.sent_to("satgas-kel-bujel") == []


async def test_a_twin_ends_in_the_other_case_with_what_only_it_asked_for(room: Room) -> None:
    case = await room.report(**HOME)
    twin = await room.report(**HOME | {"in_school": "yes", "place": "school", "excluded_agencies": ["ylpa"]})
    school = room.offered(twin, "stay_in_school")
    await room.end.merge(twin, 1, case, by="uptd-ppa", reason="the same child")

    following = room.offered(case, "stay_in_school")
    assert (following["agency"], following["handed_over_from"]) == (school["agency"], school["referral_id"])
    assert room.of("case.merged.v1")[-1] | {"merged_at": "", "sealed": {}} == {
        "case_id": str(twin), "into": str(case), "merged_at": "", "sealed": {},
    }  # fmt: skip
    assert {row["state"] for row in await room.rows("SELECT state FROM referral WHERE case_id = $1", twin)} == {
        "cancelled"
    }
    leads = await room.rows(
        "SELECT service FROM referral WHERE case_id = $1 AND role = 'lead' AND ended_at IS NULL", case
    )
    assert len(leads) == len({row["service"] for row in leads})
    assert (
        await room.rows("SELECT 1 FROM referral WHERE case_id = $1 AND agency = 'ylpa' AND ended_at IS NULL", case)
        == []
    )
    with pytest.raises(CaseMerged):
        await room.end.close(twin, await room.version(twin), CaseEnd.CLOSED, by="uptd-ppa", reason="x")


async def test_new_facts_about_a_merged_twin_reach_the_case_that_goes_on(room: Room) -> None:
    case = await room.report(**HOME)
    twin = await room.report(**HOME)
    await room.end.merge(twin, 1, case, by="uptd-ppa", reason="the same child")
    await room.amend(twin, violence=["sexual"])

    assert replanned(room)["case_id"] == str(case)
    assert {"polres-ppa", "uptd-ppa"} <= {
        entry["agency"] for entry in room.of("referral.offered.v1", case_id=str(case))
    }


async def test_new_facts_about_a_case_that_ended_open_it_again(room: Room) -> None:
    case = await room.report(**HOME)
    await room.end.close(case, 1, CaseEnd.CLOSED, by="uptd-ppa", reason="nothing in it")
    await room.amend(case, safe_now="no")

    assert len(room.of("case.reopened.v1", case_id=str(case))) == 1
    assert services(replanned(room)["added"]) >= {"intake", "emergency_protection"}

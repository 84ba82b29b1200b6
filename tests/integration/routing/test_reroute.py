"""A declined referral is rerouted at once, under the clocks that already run."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.repository.saving import SERVICES_WITHOUT_AGENCY
from simpul_runtime.errors import Unprocessable
from simpul_schema.vocabulary import ParkReason
from tests.integration.routing.conftest import START, Room
from tests.support.actors import acting
from tests.support.agreements import CITY

SHELTER = {"safe_now": "no", "perpetrator_lives_with_child": "yes"}


async def test_r2_a_declined_service_is_rerouted_at_once_and_published(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")
    await room.reply("declined", first, reason="no_capacity")

    next_offer = room.find_offer(case, "shelter")
    rerouted = room.find_services("referral.rerouted.v1", service_id=first["service_id"])
    assert (first["agency"], next_offer["agency"]) == ("dinsos-peksos", "uptd-ppa")
    assert next_offer["rerouted_from"] == first["service_id"]
    assert [(entry["next_referral_id"], entry["next_service_id"]) for entry in rerouted] == [
        (next_offer["referral_id"], next_offer["service_id"])
    ]
    assert room.find_services("referral.declined.v1", service_id=first["service_id"], reason="no_capacity")
    states = await room.rows("SELECT state FROM service WHERE service_id = $1", first["service_id"])
    assert states == [{"state": "rerouted"}]


async def test_a_decline_with_a_reason_of_a_later_version_is_rerouted_as_for_another_reason(room: Room) -> None:
    case = await room.report(safe_now="unknown")
    first = room.find_offer(case, "outreach")

    await room.reply("declined", first, reason="reason_of_a_later_version")

    assert room.find_offers(case_id=str(case))[-1]["rerouted_from"] == first["service_id"]
    assert room.find_services("referral.declined.v1", service_id=first["service_id"], reason="other")
    reasons = await room.rows(
        "SELECT payload->>'decline_reason' AS reason FROM case_event"
        " WHERE service_id = $1 AND payload->>'after' = 'declined'",
        first["service_id"],
    )
    assert reasons == [{"reason": "other"}]


async def test_a_reroute_keeps_the_deadlines(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")
    room.now = START + timedelta(minutes=10)
    await room.reply("declined", first, reason="no_capacity")

    next_offer = room.find_offer(case, "shelter")
    clocks = "SELECT clock, due_at FROM clock WHERE service_id = $1 AND stopped_at IS NULL ORDER BY clock"
    after = await room.rows(clocks, next_offer["service_id"])
    assert next_offer["answer_by"] == first["answer_by"]
    assert {row["clock"]: row["due_at"] - START for row in after} == {
        "receipt": timedelta(minutes=15),
        "answer": timedelta(minutes=15),
        "contact": timedelta(hours=1),
        "service": timedelta(hours=1),
    }
    assert await room.rows(clocks, first["service_id"]) == []


async def test_clocks_that_the_first_agency_had_stopped_run_for_the_next(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")
    room.now = START + timedelta(minutes=2)
    for kind, more in (("accepted", {}), ("started", {}), ("declined", {"reason": "no_capacity"})):
        await room.reply(kind, first, **more)

    next_offer = room.find_offer(case, "shelter")
    running = await room.rows(
        "SELECT clock FROM clock WHERE service_id = $1 AND stopped_at IS NULL ORDER BY clock",
        next_offer["service_id"],
    )
    assert [row["clock"] for row in running] == ["answer", "contact", "receipt", "service"]
    assert next_offer["answer_by"] == first["answer_by"]


async def test_r4_a_rerouted_offer_has_the_same_facts(room: Room) -> None:
    case = await room.report(**SHELTER, suicidal_sign="yes", sex="male", age_band="from_12_to_14")
    first = room.find_offer(case, "shelter")
    await room.reply("declined", first, reason="no_capacity")

    known = [room.open_facts(offered) for offered in (first, room.find_offer(case, "shelter"))]

    assert known[0] == known[1]
    assert (known[0].suicidal_sign, known[0].sex, known[0].age_band) == ("yes", "male", "from_12_to_14")


async def test_the_third_reroute_of_a_service_escalates_it_to_the_hub(room: Room) -> None:
    case = await room.report(safe_now="unknown")
    chain: list[str] = []
    for _ in range(3):
        offer = room.find_offers(case_id=str(case))[-1] if chain else room.find_offer(case, "outreach")
        chain.append(offer["agency"])
        await room.reply("declined", offer, reason="no_capacity")

    last = room.find_offers(case_id=str(case))[-1]
    raised = room.find_services("referral.rerouted.v1", is_escalated_to_hub=True)
    assert chain == ["satgas-kel-bujel", "satgas-kec-mojoroto", "uptd-ppa"]
    assert (last["service"], last["agency"], last["reroute_count"]) == ("manual_triage", "uptd-ppa", 3)
    assert len(raised) == 1
    shown = await room.rows(
        "WITH RECURSIVE chain AS (SELECT * FROM service WHERE service_id = $1 UNION ALL"
        " SELECT r.* FROM service r JOIN chain c ON r.service_id = c.rerouted_from)"
        " SELECT agency FROM chain ORDER BY reroute_count",
        last["service_id"],
    )
    assert [row["agency"] for row in shown] == [*chain, "uptd-ppa"]


async def test_an_agency_excluded_from_the_case_is_never_handed_anything(room: Room) -> None:
    case = await room.report(**SHELTER, excluded_agencies=["uptd-ppa"])
    await room.reply("declined", room.find_offer(case, "shelter"), reason="no_capacity")

    assert room.find_offers(agency="uptd-ppa") == []


async def test_danger_is_not_declined_as_outside_area_before_first_aid(room: Room) -> None:
    case = await room.report(**SHELTER)
    offer = room.find_offer(case, "emergency_protection")
    await room.reply("declined", offer, reason="outside_area")
    refused = room.find_data("referral.reply_refused.v1")

    await room.reply("accepted", offer)
    await room.reply("started", offer)
    await room.reply("declined", offer, reason="outside_area")

    assert [(entry["reason"], entry["agency"]) for entry in refused] == [("first_aid_first", "polres-ppa")]
    assert "pertolongan pertama" in refused[0]["explanation"]
    assert room.find_offer(case, "emergency_protection")["agency"] == "uptd-ppa"


@pytest.mark.parametrize("reason", ["other", "reason_of_a_later_version"])
async def test_danger_is_not_declined_for_an_unknown_reason_before_first_aid(room: Room, reason: str) -> None:
    case = await room.report(**SHELTER)
    offer = room.find_offer(case, "emergency_protection")

    await room.reply("declined", offer, reason=reason)

    assert [entry["reason"] for entry in room.find_data("referral.reply_refused.v1")] == ["first_aid_first"]
    assert room.find_offer(case, "emergency_protection")["agency"] == offer["agency"]


async def test_a_reply_after_a_reroute_or_from_another_agency_is_refused_and_recorded(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")
    await room.reply("declined", first, reason="no_capacity")
    await room.reply("accepted", first)
    await room.reply("accepted", room.find_offer(case, "shelter"), agency="ylpa")
    await room.reply("completed", room.find_offer(case, "case_management"), outcome="served")

    refused = {(entry["agency"], entry["reason"]) for entry in room.find_data("referral.reply_refused.v1")}
    recorded = await room.rows("SELECT agency, reason FROM refused_reply")
    wanted = {("dinsos-peksos", "rerouted"), ("ylpa", "not_its_referral"), ("uptd-ppa", "not_yet_accepted")}
    assert refused == wanted == {(row["agency"], row["reason"]) for row in recorded}


async def test_a_late_receipt_changes_nothing_but_says_when_it_arrived(room: Room) -> None:
    case = await room.report()
    offer = room.find_offer(case, "case_management")
    await room.reply("accepted", offer)
    room.now += timedelta(minutes=1)
    await room.reply("delivered", offer)
    await room.reply("delivered", offer)

    rows = await room.rows("SELECT state, delivered_at FROM service WHERE service_id = $1", offer["service_id"])
    assert rows == [{"state": "accepted", "delivered_at": START + timedelta(minutes=1)}]
    assert room.find_data("referral.reply_refused.v1") == []


async def test_every_transition_says_who_when_why_and_by_which_event(room: Room) -> None:
    case = await room.report(**SHELTER)
    offer = room.find_offer(case, "shelter")
    for kind, more in (("delivered", {}), ("seen", {}), ("accepted", {}), ("declined", {"reason": "no_capacity"})):
        room.now += timedelta(minutes=1)
        await room.reply(kind, offer, **more)

    made = await room.rows(
        "SELECT payload->>'before' AS before, payload->>'after' AS after, actor, coalesce(payload->>'decline_reason',"
        " payload->>'next_agency', '') AS reason, at, causation_id FROM case_event"
        " WHERE service_id = $1 AND kind = 'referral_changed' ORDER BY position",
        offer["service_id"],
    )
    assert [(row["before"], row["after"], row["actor"], row["reason"]) for row in made] == [
        ("offered", "delivered", "dinsos-peksos", ""),
        ("delivered", "seen", "dinsos-peksos", ""),
        ("seen", "accepted", "dinsos-peksos", ""),
        ("accepted", "declined", "dinsos-peksos", "no_capacity"),
        ("declined", "rerouted", "routing", "uptd-ppa"),
    ]
    assert all(row["causation_id"] for row in made)
    assert [row["at"] - START for row in made] == [timedelta(minutes=m) for m in (1, 2, 3, 4, 4)]


async def test_two_simultaneous_declines_are_both_rerouted(room: Room) -> None:
    case = await room.report(**SHELTER)
    lead, outreach = room.find_offer(case, "shelter"), room.find_offer(case, "outreach")

    await asyncio.gather(*(room.reply("declined", offer, reason="no_capacity") for offer in (lead, outreach)))

    assert len(room.find_services("referral.rerouted.v1")) == 2


async def test_two_declines_in_one_batch_lead_to_one_next_agency(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")

    await room.receive([room.build_reply("declined", first, reason="no_capacity") for _ in range(2)])

    successors = room.find_offers(rerouted_from=first["service_id"])
    assert [entry["agency"] for entry in successors] == ["uptd-ppa"]
    assert len(room.find_services("referral.declined.v1", service_id=first["service_id"])) == 1


async def test_a_reply_in_the_stream_of_another_referral_is_parked(room: Room) -> None:
    case = await room.report(**SHELTER)
    reply = room.build_reply("declined", room.find_offer(case, "shelter"), reason="no_capacity")

    with pytest.raises(Unprocessable) as parked:
        await room.receive([reply.model_copy(update={"subject": f"referral/{uuid4()}"})])

    assert parked.value.reason is ParkReason.INVALID
    assert room.find_services("referral.declined.v1") == []


async def test_a_decline_after_the_case_ended_is_not_rerouted(room: Room) -> None:
    case = await room.report(**SHELTER)
    first = room.find_offer(case, "shelter")
    async with room.transaction() as transaction:
        await transaction.connection.execute(
            text("UPDATE case_plan SET ended_as = 'completed', ended_at = now() WHERE case_id = :case"), {"case": case}
        )

    await room.reply("declined", first, reason="no_capacity")

    assert room.find_offers(rerouted_from=first["service_id"]) == []
    states = await room.rows("SELECT state FROM service WHERE service_id = $1", first["service_id"])
    assert states == [{"state": "cancelled"}]


async def decline_everything(room: Room, case: UUID, agency: str) -> None:
    """Declines whatever the agency has been offered, until it is offered nothing more."""
    declined: set[str] = set()
    while offers := [
        offer for offer in room.find_offers(case_id=str(case), agency=agency) if offer["service_id"] not in declined
    ]:
        for offer in offers:
            declined.add(offer["service_id"])
            await room.reply("declined", offer, reason="no_capacity")


async def test_what_the_last_agency_declines_stays_outstanding_and_the_top_is_notified_at_once(room: Room) -> None:
    others = sorted(CITY.agency_codes - {"uptd-ppa"})
    case = await room.report(**SHELTER, excluded_agencies=others)
    alarms = SERVICES_WITHOUT_AGENCY._value.get()
    await decline_everything(room, case, "uptd-ppa")

    left = await room.rows("SELECT service_id::text, ended_at FROM service WHERE state = 'declined'")
    notified = room.find_services("referral.escalated.v1", case_id=str(case))
    assert left
    assert {entry["service_id"] for entry in notified} == {row["service_id"] for row in left}
    assert all(entry["escalation_targets"] == ["uptd-ppa-head", "city-board"] for entry in notified)
    assert SERVICES_WITHOUT_AGENCY._value.get() == alarms + len(left)
    running = "SELECT DISTINCT clock FROM clock WHERE service_id::text = ANY($1) AND next_at IS NOT NULL ORDER BY clock"
    clocks = {row["clock"] for row in await room.rows(running, [row["service_id"] for row in left])}
    assert {"answer", "service"} <= clocks
    assert "receipt" not in clocks
    [rights] = await room.rows("SELECT rights FROM case_plan")
    states = {entry["state"] for entry in json.loads(rights["rights"]).values()}
    assert states <= {"unanswered", "not_applicable"}
    before = len(notified)
    await room.sweep_until(START + timedelta(days=10), timedelta(hours=6))
    later = room.find_services("referral.overdue.v1", case_id=str(case))
    assert later
    assert all(entry["escalation_targets"] == ["uptd-ppa-head", "city-board"] for entry in later)
    assert len(room.find_services("referral.escalated.v1", case_id=str(case))) > before
    async with room.engine.connect() as connection:
        period = START - timedelta(days=1), START + timedelta(days=1)
        counted = await repository.count_clocks(connection, *period, room.now)
    assert {line.key: line.counts["met"] for line in counted if line.key in ("contact", "service")} == {
        "contact": 0,
        "service": 0,
    }


async def test_a_report_that_excludes_every_agency_is_sent_to_none_and_notifies_the_top(room: Room) -> None:
    case = await room.report(**SHELTER, excluded_agencies=sorted(CITY.agency_codes))

    [notified] = room.find_services("referral.escalated.v1", case_id=str(case))
    assert notified["escalation_targets"] == ["city-board"]
    assert not [key for key, _ in room.sent if key.split(".")[1] in CITY.agency_codes]
    await room.amend(case, injured="yes")
    await room.sweep_until(START + timedelta(days=2), timedelta(hours=3))
    assert room.find_services("referral.overdue.v1", service_id=notified["service_id"])
    assert not [key for key, _ in room.sent if key.split(".")[1] in CITY.agency_codes]


async def test_the_services_of_the_last_agency_stay_outstanding_when_it_is_excluded(room: Room) -> None:
    others = sorted(CITY.agency_codes - {"uptd-ppa"})
    case = await room.report(**SHELTER, excluded_agencies=others)
    leads = {o["service_id"] for o in room.find_offers(case_id=str(case), role="lead")}
    sent = len(room.find_events_sent_to("uptd-ppa"))
    await room.triage.exclude_agency(
        case, await room.version(case), "uptd-ppa", by=acting("city-board"), reason="too close"
    )

    notified = {entry["service_id"] for entry in room.find_services("referral.escalated.v1", case_id=str(case))}
    assert notified
    assert notified <= leads
    left = await room.rows("SELECT service_id::text AS id FROM service WHERE state = 'declined'")
    assert {row["id"] for row in left} == notified
    assert len(room.find_events_sent_to("uptd-ppa")) == sent
    async with room.engine.connect() as connection:
        assert await repository.list_open_referrals(connection, "uptd-ppa", FIRST_PAGE, 10, repository.Scope()) == []

"""An agency without a usable key holds up no other, and receives its referrals once it has a key."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from simpul_schema.messages import ReferralAmendedV1, ReferralOfferedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import CancelReason
from simpul_seal import Directory, VerifiedEvent, open_section
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

REPORT: dict[str, Any] = {"violence": ["sexual"], "sexual_under_72h": "yes", "place": "school"}
LATE = "rs-rujukan"
"""The agency that is enrolled later than the others."""


async def held(room: Room, agency: str = LATE) -> int:
    return int((await room.rows("SELECT count(*) AS n FROM held_event WHERE waits_for = $1", agency))[0]["n"])


async def in_outbox(room: Room, agency: str, wire: str = "") -> list[dict[str, Any]]:
    rows = await room.rows(
        "SELECT body FROM outbox WHERE routing_key LIKE 'referral.' || $1 || '.%' ORDER BY created_at", agency
    )
    events = [json.loads(row["body"]) for row in rows]
    return [event for event in events if wire in event["type"]]


def facts_of(room: Room, event: dict[str, Any], agency: str = LATE) -> ReferralFacts:
    message = ReferralOfferedV1 if event["type"] == "referral.offered.v1" else ReferralAmendedV1
    opened = message.model_validate(event)
    section = opened.data.sealed["facts"]
    content = open_section(
        section.ciphertext, room.rings[agency], event_id=opened.id, case_id=opened.correlationid, section="facts"
    )
    return ReferralFacts.model_validate_json(content)


async def take_back(room: Room, case: UUID, offer: dict[str, Any]) -> None:
    """Cancels every service of a referral."""
    await room.triage.cancel_services(
        case,
        await room.version(case),
        UUID(offer["referral_id"]),
        CancelReason.ENTERED_IN_ERROR,
        by=UPTD,
        reason="a mistake",
    )


async def test_the_others_get_their_referrals_and_the_one_without_a_key_waits(room: Room) -> None:
    room.end_keys(LATE)

    case = await room.report(**REPORT)

    offers = room.find_offers(case_id=str(case))
    others = {offer["agency"] for offer in offers} - {LATE}
    of_late = [offer for offer in offers if offer["agency"] == LATE]
    assert len(others) >= 4
    for agency in others:
        assert [facts_of(room, event, agency) for event in await in_outbox(room, agency, "offered")]
    assert of_late
    assert all(offer["sealed"] == {} for offer in of_late)
    assert await in_outbox(room, LATE) == []
    assert await held(room) == len({offer["referral_id"] for offer in of_late})


async def test_a_key_to_which_nothing_can_be_sealed_counts_as_none(room: Room) -> None:
    keys = Directory.read(room.directory_file).entries
    nowhere = X25519PublicKey.from_public_bytes(bytes(32))
    Directory([replace(key, sealing=nowhere) if key.party == LATE else key for key in keys]).write(room.directory_file)

    case = await room.report(**REPORT)

    agencies = {offer["agency"] for offer in room.find_offers(case_id=str(case))}
    assert agencies > {LATE, "polres-ppa"}
    assert await in_outbox(room, "polres-ppa", "offered")
    assert await in_outbox(room, LATE) == []
    assert await held(room) > 0


async def test_what_waited_is_sent_once_in_order_when_the_key_is_enrolled(room: Room) -> None:
    room.end_keys(LATE)
    case = await room.report(**REPORT)
    await room.sweep_until(START + timedelta(hours=1), timedelta(minutes=5))
    await room.amend(case, injured="yes")
    announced = {
        event["id"]: event for event in room.events if event["data"].get("agency") == LATE and "subject" in event
    }
    waited = await held(room)

    room.enrol(LATE)
    released = await room.release.release_events()
    again = await room.release.release_events()

    sent = room.find_events_sent_to(LATE)
    assert (released, again, await held(room)) == (waited, 0, 0)
    assert waited == len(announced) == len(sent)
    for event in sent:
        before = announced[event["id"]]
        assert [event[name] for name in ("sequence", "time", "subject")] == [
            before[name] for name in ("sequence", "time", "subject")
        ]
    rows = await room.rows("SELECT body, signature FROM outbox WHERE routing_key LIKE 'referral.' || $1 || '.%'", LATE)
    assert all(isinstance(room.keys.verify(row["body"], row["signature"], room.now), VerifiedEvent) for row in rows)
    assert len(rows) == waited
    for subject in {event["subject"] for event in sent}:
        sequences = [int(event["sequence"]) for event in sent if event["subject"] == subject]
        assert sequences == list(range(1, len(sequences) + 1))
    assert facts_of(room, next(event for event in sent if event["type"] == "referral.amended.v1")).injured == "yes"


async def test_its_clocks_run_and_the_next_level_is_named(room: Room) -> None:
    room.end_keys(LATE)
    case = await room.report(**REPORT)
    offer = room.find_offer(case, "forensic_exam")

    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))

    of_answer = {"service_id": offer["service_id"], "clock": "answer"}
    assert offer["agency"] == LATE
    overdue, escalated = (room.find_services(f"referral.{step}.v1", **of_answer) for step in ("overdue", "escalated"))
    assert [step["escalation_targets"] for step in overdue] == [["uptd-ppa"]]
    assert [step["escalation_targets"] for step in escalated] == [["uptd-ppa-head", "city-board"]]
    assert room.find_events_sent_to(LATE) == []


async def test_its_numbers_count_only_what_was_sent_to_it(room: Room) -> None:
    room.end_keys(LATE)
    await room.report(**REPORT)
    await room.manifests.publish_manifests()
    before = room.find_data("agency.manifest.v1", agency=LATE)[-1]

    room.enrol(LATE)
    await room.release.release_events()
    await room.manifests.publish_manifests()

    after = room.find_data("agency.manifest.v1", agency=LATE)[-1]
    sent = {event["id"] for event in await in_outbox(room, LATE, "offered")}
    assert (before["last_manifest_number"], before["events"]) == (0, [])
    assert {entry["event_id"] for entry in after["events"]} == sent
    assert after["last_manifest_number"] == len(sent)


async def test_nothing_is_sent_to_an_agency_that_was_excluded_meanwhile(room: Room) -> None:
    room.end_keys(LATE)
    case = await room.report(**REPORT)
    other = await room.report(**REPORT)
    await room.triage.exclude_agency(case, await room.version(case), LATE, by=UPTD, reason="too close")

    room.enrol(LATE)
    await room.release.release_events()

    assert {event["correlationid"] for event in room.find_events_sent_to(LATE)} == {str(other)}
    assert await held(room) == 0


async def test_what_an_excluded_agency_will_never_get_is_dropped_although_it_has_no_key_yet(room: Room) -> None:
    room.end_keys(LATE)
    case = await room.report(**REPORT)
    await room.release.release_events()
    await room.triage.exclude_agency(case, await room.version(case), LATE, by=UPTD, reason="too close")
    assert await held(room)

    room.now += timedelta(minutes=1)
    await room.release.release_events()

    assert await held(room) == 0
    assert room.find_events_sent_to(LATE) == []


async def test_nothing_is_sent_of_a_referral_that_ended_before_it_was_sent(room: Room) -> None:
    room.end_keys(LATE)
    case = await room.report(**REPORT)
    offer = room.find_offer(case, "forensic_exam")
    await take_back(room, case, offer)

    room.enrol(LATE)
    await room.release.release_events()

    assert room.find_events_sent_to(LATE) == []
    assert await held(room) == 0


async def test_the_end_of_a_sent_referral_follows_the_facts_that_waited(room: Room) -> None:
    case = await room.report(**REPORT)
    offer = room.find_offer(case, "forensic_exam")
    room.end_keys(LATE)
    await room.amend(case, injured="yes")
    await take_back(room, case, offer)
    room.enrol(LATE)

    await room.release.release_events()

    of_referral = [
        event for event in room.find_events_sent_to(LATE) if event["data"]["referral_id"] == offer["referral_id"]
    ]
    assert [event["sequence"] for event in of_referral] == [f"{n:010d}" for n in range(1, len(of_referral) + 1)]
    assert [event["type"] for event in of_referral][:2] == ["referral.offered.v1", "referral.amended.v1"]
    assert len(of_referral) == 3


async def test_a_reroute_to_an_agency_without_a_key_waits_for_the_key(room: Room) -> None:
    room.end_keys("uptd-ppa")
    case = await room.report(safe_now="no", perpetrator_lives_with_child="yes")
    offer = room.find_offer(case, "shelter")
    await room.reply("declined", offer, reason="no_capacity")

    next_offer = room.find_offer(case, "shelter")
    room.enrol("uptd-ppa")
    await room.release.release_events()

    assert (offer["agency"], next_offer["agency"]) == ("dinsos-peksos", "uptd-ppa")
    of_hub = [event["data"] for event in room.find_events_sent_to("uptd-ppa")]
    assert next_offer["service_id"] in {one["service_id"] for data in of_hub for one in data["services"]}


async def test_while_routings_own_key_has_ended_everything_waits_and_nothing_is_lost(room: Room) -> None:
    room.end_keys("routing", LATE, at=START + timedelta(seconds=1))
    room.now = START + timedelta(seconds=2)
    case = await room.report(**REPORT)
    await room.manifests.publish_manifests()
    assert room.events == []

    room.enrol("routing")
    await room.release.release_events()
    offers = room.find_offers(case_id=str(case))
    assert {offer["agency"] for offer in offers} >= {LATE, "uptd-ppa", "polres-ppa"}
    assert room.find_events_sent_to(LATE) == []

    room.enrol(LATE)
    await room.release.release_events()
    assert room.find_events_sent_to(LATE)
    assert room.find_data("agency.manifest.v1") == []
    assert len({(key, event["id"]) for key, event in room.sent}) == len(room.sent)


async def test_one_held_event_that_cannot_be_read_keeps_no_other(room: Room) -> None:
    room.end_keys(LATE)
    for _ in range(2):
        await room.report(**REPORT)
    waited = await held(room)
    await room.rows("UPDATE held_event SET content = '' WHERE position = (SELECT min(position) FROM held_event)")

    room.enrol(LATE)
    released = await room.release.release_events()

    assert waited > 1
    assert (released, await held(room)) == (waited - 1, 1)


async def test_a_case_whose_facts_cannot_be_read_keeps_no_other_from_its_agency(room: Room) -> None:
    room.end_keys(LATE)
    broken, case = await room.report(**REPORT), await room.report(**REPORT)
    await room.rows("UPDATE case_plan SET situation = '' WHERE case_id = $1", broken)

    room.enrol(LATE)
    await room.release.release_events()

    assert {event["correlationid"] for event in room.find_events_sent_to(LATE)} == {str(case)}
    assert await held(room)


async def test_held_facts_are_not_readable_in_the_database(room: Room) -> None:
    room.end_keys(LATE)
    await room.report(**REPORT)

    rows = await room.rows("SELECT held_event::text AS stored, content FROM held_event")

    assert rows
    assert not any(b"kecamatan" in row["content"] or "sexual" in row["stored"] for row in rows)

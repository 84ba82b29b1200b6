"""Delivery manifests: an agency can prove that it missed nothing, and receives missed events again."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_routing import repository
from simpul_routing.use_cases import publish_manifests as publish_manifests_module
from simpul_routing.use_cases.publish_manifests import SILENT_AFTER
from simpul_runtime.errors import Unprocessable
from simpul_schema import Event
from simpul_schema.messages import AuditHeadSignedV1, ReplyMessageParkedV1, ReplyResendRequestedV1
from simpul_schema.messages.delivery import MAX_MANIFEST_ENTRIES
from tests.integration.routing.conftest import Room
from tests.support.actors import acting
from tests.support.agreements import CITY

AGENCY = "uptd-ppa"


async def publish_manifests(room: Room) -> None:
    await room.manifests.record_seen_agencies()
    await room.manifests.publish_manifests()


async def request_resend(room: Room, *requests: Event) -> None:
    await room.receive(requests)
    await room.manifests.answer_resend_requests()


def manifests(room: Room, agency: str = AGENCY) -> list[dict[str, Any]]:
    return room.find_data("agency.manifest.v1", agency=agency)


def numbered_events(room: Room, agency: str = AGENCY) -> dict[int, str]:
    """The events in all manifests: number -> event id."""
    return {entry["manifest_number"]: entry["event_id"] for data in manifests(room, agency) for entry in data["events"]}


def sent_events(room: Room, agency: str = AGENCY) -> set[str]:
    return {event["id"] for event in room.find_events_sent_to(agency) if event["type"] != "agency.manifest.v1"}


def build_request(agency: str = AGENCY, by: str = "", **window: Any) -> Event:
    return ReplyResendRequestedV1.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/agency/{by or agency}",
            "subject": f"agency/{agency}",
            "time": "2026-11-27T15:00:00Z",
            "sequence": "0000000001",
            "correlationid": uuid4(),
            "data": {"agency": agency, **window},
        }
    )


def build_parked(agency: str = AGENCY) -> Event:
    return ReplyMessageParkedV1.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/agency/{agency}",
            "subject": f"agency/{agency}",
            "time": "2026-11-27T15:00:00Z",
            "sequence": "0000000001",
            "correlationid": uuid4(),
            "data": {"agency": agency, "event_id": str(uuid4()), "reason": "cannot_open", "digest": "0" * 64},
        }
    )


async def find_unpublished(room: Room) -> set[str]:
    rows = await room.rows("SELECT event_id FROM outbox WHERE published_at IS NULL AND number > 0")
    return {str(row["event_id"]) for row in rows}


async def mark_published(room: Room, ago: timedelta = timedelta(minutes=1)) -> None:
    await room.rows("UPDATE outbox SET published_at = $1", room.now - ago)


async def test_every_event_sent_to_an_agency_has_one_number_without_gaps(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    await room.report()
    await room.report()
    await publish_manifests(room)
    await publish_manifests(room)

    assert set(numbered_events(room)) == set(range(1, len(sent_events(room)) + 1))
    assert set(numbered_events(room).values()) == sent_events(room)
    assert manifests(room)[-1]["last_manifest_number"] == len(sent_events(room))
    assert manifests(room)[-1]["events"] == []


async def test_every_agency_receives_a_manifest_even_if_nothing_was_sent_to_it(room: Room) -> None:
    await publish_manifests(room)

    assert {data["agency"] for data in room.find_data("agency.manifest.v1")} == set(CITY.agency_codes)
    assert {data["last_manifest_number"] for data in room.find_data("agency.manifest.v1")} == {0}
    assert {data["next_by"] for data in room.find_data("agency.manifest.v1")} == {"2026-11-27T15:02:00Z"}


async def test_a_manifest_holds_no_more_than_the_contract_allows(room: Room) -> None:
    await room.rows(
        "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at)"
        " SELECT gen_random_uuid(), 'simpul.referrals', 'referral.ylpa.legal_aid.low.offered.v1', '{}',"
        " gen_random_uuid(), gen_random_uuid(), now() FROM generate_series(1, $1)",
        MAX_MANIFEST_ENTRIES + 1,
    )

    await publish_manifests(room)

    assert [len(data["events"]) for data in manifests(room, "ylpa")] == [MAX_MANIFEST_ENTRIES, 1]
    assert set(numbered_events(room, "ylpa")) == set(range(1, MAX_MANIFEST_ENTRIES + 2))


async def test_a_range_by_number_is_resent_unchanged_with_a_manifest(room: Room) -> None:
    for _ in range(3):
        await room.report()
    await publish_manifests(room)
    await mark_published(room)

    await request_resend(room, build_request(first_manifest_number=2, last_manifest_number=3))

    assert await find_unpublished(room) == {numbered_events(room)[2], numbered_events(room)[3]}
    assert [entry["manifest_number"] for entry in manifests(room)[-1]["events"]] == [2, 3]


async def test_a_range_by_time_holds_the_events_sent_in_it(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    await room.rows("UPDATE outbox SET created_at = $1", room.now)
    before = sent_events(room)
    room.now += timedelta(hours=1)
    await room.report()
    await publish_manifests(room)
    await mark_published(room)

    await request_resend(
        room, build_request(since=room.now - timedelta(hours=1), until=room.now - timedelta(minutes=1))
    )

    assert await find_unpublished(room) == before


@pytest.mark.parametrize("by_time", [True, False], ids=["by time", "by number"])
async def test_a_large_range_is_resent_whole_in_several_manifests(room: Room, *, by_time: bool) -> None:
    await room.rows(
        "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at, created_at,"
        " published_at) SELECT gen_random_uuid(), 'simpul.referrals', 'referral.ylpa.legal_aid.low.offered.v1', '{}',"
        " gen_random_uuid(), gen_random_uuid(), now(), $2, $2 FROM generate_series(1, $1)",
        MAX_MANIFEST_ENTRIES * 2 + 280,
        room.now - timedelta(minutes=1),
    )
    for _ in range(2):
        await publish_manifests(room)
    before = len(manifests(room, "ylpa"))

    since = room.now - timedelta(minutes=2)
    await request_resend(room, build_request("ylpa", **({"since": since} if by_time else {"first_manifest_number": 1})))

    answered = [len(data["events"]) for data in manifests(room, "ylpa")[before:]]
    assert answered == [MAX_MANIFEST_ENTRIES, MAX_MANIFEST_ENTRIES, 280]
    assert len(await find_unpublished(room)) == MAX_MANIFEST_ENTRIES * 2 + 280
    assert await room.rows("SELECT 1 FROM resend_request") == []


async def test_events_on_their_way_are_not_resent(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    await mark_published(room, ago=timedelta(seconds=1))

    await request_resend(room, build_request(first_manifest_number=1))

    assert await find_unpublished(room) == set()


async def test_events_of_a_case_are_withheld_from_an_agency_excluded_from_it(room: Room) -> None:
    case, other = await room.report(), await room.report()
    offered = room.find_offers(case_id=str(case))[0]
    await publish_manifests(room)
    await room.reply("declined", offered, reason="conflict_of_interest")
    await mark_published(room)

    await request_resend(room, build_request(offered["agency"], first_manifest_number=1))

    manifest = manifests(room, offered["agency"])[-1]["events"]
    of_case = {event["id"] for event in room.events if event["correlationid"] == str(case)}
    withheld = {entry["event_id"] for entry in manifest if entry["is_withheld"]}
    assert withheld == {entry["event_id"] for entry in manifest} & of_case
    assert withheld
    assert not await find_unpublished(room) & of_case
    of_other = {
        event["id"] for event in room.find_events_sent_to(offered["agency"]) if event["correlationid"] == str(other)
    }
    assert of_other <= await find_unpublished(room)


async def test_an_agency_cannot_request_the_events_of_another(room: Room) -> None:
    await room.report()
    await publish_manifests(room)

    with pytest.raises(Unprocessable):
        await request_resend(room, build_request(first_manifest_number=1, by="ylpa"))


async def test_only_one_process_publishes_manifests_at_a_time(room: Room) -> None:
    await room.report()
    async with room.transaction() as other_process:
        assert await repository.try_advisory_lock(other_process)
        await publish_manifests(room)
        assert manifests(room) == []
    await publish_manifests(room)

    assert set(numbered_events(room)) == set(range(1, len(sent_events(room)) + 1))


async def test_events_about_a_referral_have_its_service_and_urgency_in_the_routing_key(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offered = room.find_offer(case, "forensic_exam")
    await room.reply("accepted", offered)

    keys = {key for key, event in room.sent if event["data"].get("referral_id") == offered["referral_id"]}
    about = f"referral.{offered['agency']}.forensic_exam.{offered['urgency']}"
    assert {key for key in keys if key.startswith("referral.rs")} == {f"{about}.offered.v1", f"{about}.accepted.v1"}


async def test_manifests_to_a_silent_agency_stop_until_it_sends_something(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_manifests_module, "MAX_MISSED_MANIFESTS", 4)
    await room.report()
    for _ in range(7):
        await publish_manifests(room)
    silent = len(manifests(room, "ylpa"))
    before = len(manifests(room))
    await request_resend(room, build_request(first_manifest_number=1))
    await publish_manifests(room)

    assert silent == 4
    # The requested manifest, and the regular one.
    assert len(manifests(room)) == before + 2
    assert len(manifests(room, "ylpa")) == silent


async def test_events_published_while_a_request_is_stored_are_numbered_too(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    async with room.transaction() as transaction:
        offered = room.find_offers(agency=AGENCY)[0]
        reply = room.build_reply("accepted", offered)
        handlers = room.handlers
        await handlers[type(reply)](transaction, [reply])
        await transaction.flush()
        resend = build_request(first_manifest_number=1)
        await handlers[type(resend)](transaction, [resend])
    await publish_manifests(room)

    assert set(numbered_events(room).values()) == sent_events(room)


async def test_only_old_manifests_are_deleted(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    await room.rows("UPDATE outbox SET published_at = $1, created_at = $1", room.now - timedelta(hours=2))
    before = await room.rows("SELECT count(*) AS n FROM outbox WHERE number > 0 OR exchange <> 'simpul.referrals'")
    await publish_manifests(room)

    after = await room.rows("SELECT count(*) AS n FROM outbox WHERE number > 0 OR exchange <> 'simpul.referrals'")
    kept = await room.rows("SELECT count(*) AS n FROM outbox WHERE number = 0")
    assert after == before
    assert kept[0]["n"] == len(CITY.agency_codes)


async def test_an_exclusion_holds_for_a_duplicate_merged_into_the_case(room: Room) -> None:
    duplicate, case = await room.report(), await room.report()
    offered = next(o for o in room.find_offers(case_id=str(duplicate)) if o["agency"] != AGENCY)
    agency = offered["agency"]
    await publish_manifests(room)
    await room.end.merge_cases(
        duplicate, await room.version(duplicate), case, by=acting(AGENCY), reason="the same child"
    )
    await room.triage.exclude_agency(case, await room.version(case), agency, by=acting(AGENCY), reason="too close")
    await publish_manifests(room)
    await mark_published(room)

    await request_resend(room, build_request(agency, first_manifest_number=1))

    withheld = {entry["event_id"] for entry in manifests(room, agency)[-1]["events"] if entry["is_withheld"]}
    of_duplicate = {
        event["id"] for event in room.find_events_sent_to(agency) if event["correlationid"] == str(duplicate)
    }
    assert of_duplicate
    assert of_duplicate <= withheld
    assert not await find_unpublished(room) & of_duplicate


async def test_an_agency_seen_while_others_are_recorded_is_recorded_next(room: Room) -> None:
    await publish_manifests(room)
    await room.receive([build_request("ylpa", first_manifest_number=1)])
    async with room.transaction() as transaction:
        room.manifests.mark_agencies_reachable(transaction, [build_request(AGENCY, first_manifest_number=1)])
        await room.manifests.record_seen_agencies()
    missed = "SELECT agency FROM agency_manifest WHERE missed_manifests = 0 ORDER BY agency"
    recorded_first = [row["agency"] for row in await room.rows(missed)]

    await room.manifests.record_seen_agencies()

    assert recorded_first == ["ylpa"]
    assert [row["agency"] for row in await room.rows(missed)] == [AGENCY, "ylpa"]


async def test_heads_of_audits_travel_in_the_next_manifests_of_every_agency(room: Room) -> None:
    heads = [{"body": f"{service} {number}", "signature": "s"} for service in ("intake", "notify") for number in (1, 2)]
    for service, published in (("intake", heads[:1]), ("notify", heads[2:]), ("intake", heads[:2])):
        await room.receive([build_heads(service, published)])
    await publish_manifests(room)
    first = {data["agency"]: data["audit_heads"] for data in room.find_data("agency.manifest.v1")}
    carried = []
    for _ in range(4):
        room.now += timedelta(minutes=1)
        await publish_manifests(room)
        carried.append(bool(manifests(room)[-1]["audit_heads"]))

    assert first == dict.fromkeys(CITY.agency_codes, heads)
    # In three more, because one may be lost; then no longer, until the services publish the next ones.
    assert carried == [True, True, True, False]


def build_heads(service: str, heads: list[dict[str, str]]) -> Event:
    return AuditHeadSignedV1.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/{service}",
            "subject": f"audit/{service}",
            "time": "2026-11-27T15:00:00Z",
            "sequence": "0000000001",
            "correlationid": uuid4(),
            "data": {"heads": heads},
        }
    )


def alarms(room: Room) -> list[tuple[str, str, bool]]:
    return [(one["agency"], one["alarm"], one["is_over"]) for one in room.find_data("agency.alarm.v1")]


async def test_a_silent_agency_is_announced_once_and_again_when_it_sends_something(room: Room) -> None:
    await room.report()
    await publish_manifests(room)
    room.now += SILENT_AFTER - timedelta(minutes=1)
    await publish_manifests(room)
    before = alarms(room)
    room.now += timedelta(minutes=1)
    await publish_manifests(room)
    await publish_manifests(room)
    addressed = {event["data"]["agency"] for event in room.events if event["type"] == "referral.offered.v1"}
    raised = alarms(room)
    async with room.engine.connect() as connection:
        shown = [row["agency"] for row in await repository.list_silent_agencies(connection)]
    await request_resend(room, build_request(first_manifest_number=1))
    await publish_manifests(room)
    await publish_manifests(room)

    assert before == []
    assert set(shown) == addressed
    # Who was never sent anything misses nothing.
    assert sorted(raised) == sorted((agency, "silent", False) for agency in addressed)
    assert alarms(room)[len(raised) :] == [(AGENCY, "silent", True)]
    ids = [one["alarm_id"] for one in room.find_data("agency.alarm.v1", agency=AGENCY)]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_messages_that_an_agency_could_not_use_are_one_alarm_an_hour(room: Room) -> None:
    for minutes in (0, 5, 70):
        room.now += timedelta(minutes=minutes)
        await room.receive([build_parked(), build_parked()])

    found = room.find_data("agency.alarm.v1")
    assert {(one["agency"], one["alarm"], one["is_over"]) for one in found} == {(AGENCY, "parked", False)}
    assert len(found) == 3
    assert len({one["alarm_id"] for one in found}) == 2

"""An agency can tell that it missed nothing, and gets again what it did."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_routing.use_cases.keep_accounts import UNHEARD
from simpul_runtime.errors import Unprocessable
from simpul_schema import Event
from simpul_schema.messages import ReplyWindowRequestedV1
from simpul_schema.messages.account import MOST_IN_ACCOUNT
from tests.integration.routing.conftest import Room
from tests.support.agreements import CITY

AGENCY = "uptd-ppa"


async def beat(room: Room) -> None:
    async with room.transaction() as transaction:
        await room.accounts.beat(transaction)


def accounts(room: Room, agency: str = AGENCY) -> list[dict[str, Any]]:
    return room.of("referral.heartbeat.v1", agency=agency)


def numbered(room: Room, agency: str = AGENCY) -> dict[int, str]:
    """Everything that was accounted for: number -> event id."""
    return {entry["number"]: entry["event_id"] for data in accounts(room, agency) for entry in data["events"]}


def was_sent(room: Room, agency: str = AGENCY) -> set[str]:
    return {event["id"] for event in room.sent_to(agency) if event["type"] != "referral.heartbeat.v1"}


def request(agency: str = AGENCY, by: str = "", **window: Any) -> Event:
    return ReplyWindowRequestedV1.model_validate({
        "id": uuid4(), "source": f"/kediri/agency/{by or agency}", "subject": f"agency/{agency}",
        "time": "2026-11-27T15:00:00Z", "sequence": "0000000001", "correlationid": uuid4(),
        "data": {"agency": agency, **window},
    })  # fmt: skip


async def unpublished(room: Room) -> set[str]:
    rows = await room.rows("SELECT event_id FROM outbox WHERE published_at IS NULL AND number > 0")
    return {str(row["event_id"]) for row in rows}


async def all_published(room: Room, ago: timedelta = timedelta(minutes=1)) -> None:
    await room.rows("UPDATE outbox SET published_at = $1", room.now - ago)


async def test_every_event_sent_to_an_agency_gets_one_number_and_no_number_is_left_out(room: Room) -> None:
    await room.report()
    await beat(room)
    await room.report()
    await room.report()
    await beat(room)
    await beat(room)

    assert set(numbered(room)) == set(range(1, len(was_sent(room)) + 1))
    assert set(numbered(room).values()) == was_sent(room)
    assert accounts(room)[-1]["last_number"] == len(was_sent(room))
    assert accounts(room)[-1]["events"] == []


async def test_every_agency_is_told_when_the_next_account_comes_even_if_it_was_sent_nothing(room: Room) -> None:
    await beat(room)

    assert {data["agency"] for data in room.of("referral.heartbeat.v1")} == set(CITY.agency_codes)
    assert {data["last_number"] for data in room.of("referral.heartbeat.v1")} == {0}
    assert {data["next_by"] for data in room.of("referral.heartbeat.v1")} == {"2026-11-27T15:02:00Z"}


async def test_an_account_holds_no_more_than_the_contract_says(room: Room) -> None:
    await room.rows(
        "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at)"
        " SELECT gen_random_uuid(), 'simpul.referrals', 'referral.ylpa.legal_aid.low.offered.v1', '',"
        " gen_random_uuid(), gen_random_uuid(), now() FROM generate_series(1, $1)",
        MOST_IN_ACCOUNT + 1,
    )  # fmt: skip

    await beat(room)

    assert [len(data["events"]) for data in accounts(room, "ylpa")] == [MOST_IN_ACCOUNT, 1]
    assert set(numbered(room, "ylpa")) == set(range(1, MOST_IN_ACCOUNT + 2))


async def test_a_window_by_number_is_sent_again_as_it_was_with_its_account(room: Room) -> None:
    for _ in range(3):
        await room.report()
    await beat(room)
    await all_published(room)

    await room.receive([request(first_number=2, last_number=3)])

    assert await unpublished(room) == {numbered(room)[2], numbered(room)[3]}
    assert [entry["number"] for entry in accounts(room)[-1]["events"]] == [2, 3]


async def test_a_window_by_time_holds_what_was_sent_then(room: Room) -> None:
    await room.report()
    await beat(room)
    await room.rows("UPDATE outbox SET created_at = $1", room.now)
    before = was_sent(room)
    room.now += timedelta(hours=1)
    await room.report()
    await beat(room)
    await all_published(room)

    await room.receive([request(since=room.now - timedelta(hours=1), until=room.now - timedelta(minutes=1))])

    assert await unpublished(room) == before


async def test_what_is_on_its_way_is_not_sent_twice(room: Room) -> None:
    await room.report()
    await beat(room)
    await all_published(room, ago=timedelta(seconds=1))

    await room.receive([request(first_number=1)])

    assert await unpublished(room) == set()


async def test_nothing_of_a_case_is_sent_again_to_an_agency_that_was_excluded_from_it(room: Room) -> None:
    case, other = await room.report(), await room.report()
    offered = room.of("referral.offered.v1", case_id=str(case))[0]
    await beat(room)
    await room.reply("declined", offered, reason="conflict_of_interest")
    await all_published(room)

    await room.receive([request(offered["agency"], first_number=1)])

    account = accounts(room, offered["agency"])[-1]["events"]
    of_case = {event["id"] for event in room.said if event["correlationid"] == str(case)}
    withheld = {entry["event_id"] for entry in account if entry["is_withheld"]}
    assert withheld == {entry["event_id"] for entry in account} & of_case
    assert withheld
    assert not await unpublished(room) & of_case
    of_other = {event["id"] for event in room.sent_to(offered["agency"]) if event["correlationid"] == str(other)}
    assert of_other <= await unpublished(room)


async def test_nobody_asks_for_the_window_of_another_agency(room: Room) -> None:
    await room.report()
    await beat(room)

    with pytest.raises(Unprocessable):
        await room.receive([request(first_number=1, by="ylpa")])


async def test_a_second_process_does_not_number_at_the_same_time(room: Room) -> None:
    await room.report()
    async with room.transaction() as first:
        await room.accounts.beat(first)
        async with room.transaction() as second:
            await room.accounts.beat(second)
        assert second.outgoing == []

    assert set(numbered(room)) == set(range(1, len(was_sent(room)) + 1))


async def test_what_is_about_a_referral_travels_under_its_service_and_urgency(room: Room) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offered = room.offered(case, "forensic_exam")
    await room.reply("accepted", offered)

    keys = {key for key, event in room.sent if event["data"].get("referral_id") == offered["referral_id"]}
    about = f"referral.{offered['agency']}.forensic_exam.{offered['urgency']}"
    assert {key for key in keys if key.startswith("referral.rs")} == {f"{about}.offered.v1", f"{about}.accepted.v1"}


async def test_an_agency_that_says_nothing_is_not_drowned_in_heartbeats_and_hears_more_when_it_speaks(
    room: Room,
) -> None:
    await room.report()
    for _ in range(UNHEARD + 3):
        await beat(room)
    silent = len(accounts(room, "ylpa"))
    before = len(accounts(room))
    await room.receive([request(first_number=1)])
    await beat(room)

    assert silent == UNHEARD
    # The account that was asked for, and a heartbeat again.
    assert len(accounts(room)) == before + 2
    assert len(accounts(room, "ylpa")) == silent


async def test_what_is_announced_beside_a_window_is_accounted_for_too(room: Room) -> None:
    await room.report()
    await beat(room)
    async with room.transaction() as transaction:
        offered = room.of("referral.offered.v1", agency=AGENCY)[0]
        reply = room.reply_of("accepted", offered)
        handlers = room.handlers
        await handlers[type(reply)](transaction, [reply])
        await transaction.flush()
        window = request(first_number=1)
        await handlers[type(window)](transaction, [window])
    await beat(room)

    assert set(numbered(room).values()) == was_sent(room)


async def test_old_heartbeats_are_forgotten_and_nothing_else_is(room: Room) -> None:
    await room.report()
    await beat(room)
    await room.rows("UPDATE outbox SET published_at = $1, created_at = $1", room.now - timedelta(hours=2))
    before = await room.rows("SELECT count(*) AS n FROM outbox WHERE number > 0 OR exchange <> 'simpul.referrals'")
    await beat(room)

    after = await room.rows("SELECT count(*) AS n FROM outbox WHERE number > 0 OR exchange <> 'simpul.referrals'")
    heartbeats = await room.rows("SELECT count(*) AS n FROM outbox WHERE number = 0")
    assert after == before
    assert heartbeats[0]["n"] == len(CITY.agency_codes)


async def test_an_exclusion_holds_for_a_case_that_goes_on_in_another(room: Room) -> None:
    twin, case = await room.report(), await room.report()
    offered = next(o for o in room.of("referral.offered.v1", case_id=str(twin)) if o["agency"] != AGENCY)
    agency = offered["agency"]
    await beat(room)
    await room.end.merge(twin, await room.version(twin), case, by=AGENCY, reason="the same child")
    await room.triage.exclude(case, await room.version(case), agency, by=AGENCY, reason="too close")
    await beat(room)
    await all_published(room)

    await room.receive([request(agency, first_number=1)])

    withheld = {entry["event_id"] for entry in accounts(room, agency)[-1]["events"] if entry["is_withheld"]}
    of_twin = {event["id"] for event in room.sent_to(agency) if event["correlationid"] == str(twin)}
    assert of_twin
    assert of_twin <= withheld
    assert not await unpublished(room) & of_twin

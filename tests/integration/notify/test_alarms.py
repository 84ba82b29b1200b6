"""A silent agency, a message that it could not use and a breach reach persons, not only operators."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_dev.backends import Backends
from simpul_notify.domain.responders import Responder
from simpul_schema import message_class
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room

SMS = AlertChannel.SMS
LEAD = Responder("hospital-head", "id", {SMS: "+6283400119011"}, is_lead=True)
ON_DUTY, COORDINATOR, HEAD, BOARD = "+6283400111006", "+6283400111002", "+6283400113001", "+6283400113002"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    """The hospital has a lead besides the person on duty."""
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(
            ROSTER,
            leads={"rs-rujukan": (LEAD,)},
            responders={**ROSTER.responders, LEAD.reference: LEAD},
            channels=dict.fromkeys(ROSTER.channels, (SMS,)),
        )
        yield prepared


async def receive(room: Room, wire_name: str, about: UUID, **data: Any) -> None:
    """Receives an event that is about no referral."""
    message = message_class(wire_name)
    assert message is not None
    service = "intake" if wire_name.startswith("breach") else "routing"
    event = message.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/{service}",
            "subject": f"alarm/{about}",
            "time": START,
            "sequence": "0000000001",
            "correlationid": about,
            "data": data,
        }
    )
    async with room.transactions.begin() as transaction:
        await room.handlers[message](transaction, [event])


async def alarm(room: Room, alarm_id: UUID, kind: str, *, is_over: bool = False) -> None:
    await receive(
        room,
        "agency.alarm.v1",
        alarm_id,
        alarm_id=alarm_id,
        agency="rs-rujukan",
        alarm=kind,
        since=START,
        is_over=is_over,
    )


async def breach(room: Room, breach_id: UUID, *, is_over: bool = False) -> None:
    await receive(
        room,
        "breach.found.v1",
        breach_id,
        breach_id=breach_id,
        found_at=START,
        due_at=START + timedelta(days=3),
        is_over=is_over,
    )


@pytest.mark.parametrize(("kind", "text"), [("silent", "sistem tidak menjawab"), ("parked", "ada pesan tak terbaca")])
async def test_the_lead_of_the_agency_and_the_coordinator_learn_of_it_at_once(room: Room, kind: str, text: str) -> None:
    alarm_id = uuid4()
    async with room.running():
        await alarm(room, alarm_id, kind)
        await alarm(room, alarm_id, kind)
        for number in ("+6283400119011", COORDINATOR):
            await room.phone(number).expect_sms(referral_code(alarm_id), "rs-rujukan", text, "27/11 23.00")
        await room.wait_until_none_is_pending()

    assert sorted(arrival.to for arrival in room.handset.arrivals) == sorted(["+6283400119011", COORDINATOR])
    # Nothing about a referral is published, because there is none.
    assert room.announced == []


async def test_whoever_is_on_duty_follows_when_the_lead_does_not_react(room: Room) -> None:
    async with room.running():
        await alarm(room, uuid4(), "parked")
        await room.phone("+6283400119011").expect_sms()
        await room.wait_until_none_is_pending()
        await room.pass_time(timedelta(minutes=6))
        await room.phone(ON_DUTY).expect_sms("ada pesan tak terbaca")


async def test_a_silence_is_repeated_until_the_agency_answers_although_somebody_is_on_it(room: Room) -> None:
    alarm_id = uuid4()
    async with room.running():
        await alarm(room, alarm_id, "silent")
        await room.wait_until_none_is_pending()
        for number in ("+6283400119011", COORDINATOR):
            await (await room.phone(number).expect_sms()).reply("TERIMA")
        await room.jump(timedelta(days=1, minutes=1))
        repeated = await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()
        twice = len(room.sms_to("+6283400119011"))
        await alarm(room, alarm_id, "silent", is_over=True)
        await room.jump(timedelta(days=3))
        await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()

    assert repeated == 2
    assert twice == 2
    assert len(room.sms_to("+6283400119011")) == 2


async def test_an_unread_message_is_repeated_to_everybody_until_anybody_takes_care_of_it(room: Room) -> None:
    alarm_id = uuid4()
    async with room.running():
        await alarm(room, alarm_id, "parked")
        await room.wait_until_none_is_pending()
        # Everybody was tried, and nobody has reacted.
        await room.pass_time(timedelta(minutes=16))
        await room.wait_until_none_is_pending()
        first = len(room.sms_to(COORDINATOR))
        await room.jump(timedelta(hours=5))
        repeated = await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()
        again = len(room.sms_to(COORDINATOR))
        await (await room.phone("+6283400119011").expect_sms()).reply("TERIMA")
        await room.pass_time(timedelta(minutes=16))
        await room.wait_until_none_is_pending()
        answered = len(room.handset.arrivals)
        await room.jump(timedelta(hours=5))
        await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()

    assert repeated == 2
    assert again > first
    assert len(room.handset.arrivals) == answered


async def test_an_agency_that_answers_again_stops_what_still_waits(room: Room) -> None:
    alarm_id = uuid4()
    room.handset.is_failing = True
    async with room.running():
        await alarm(room, alarm_id, "silent")
        await alarm(room, alarm_id, "silent", is_over=True)
        await room.wait_until_none_is_pending()
        room.handset.is_failing = False

    assert room.sms_to() == []


async def test_a_breach_reaches_the_coordinator_the_head_and_the_board_until_every_notice_is_given(
    room: Room,
) -> None:
    breach_id = uuid4()
    async with room.running():
        await breach(room, breach_id)
        for number in (COORDINATOR, HEAD, BOARD):
            await room.phone(number).expect_sms(referral_code(breach_id), "ada kebocoran data", "30/11 22.00")
        await room.wait_until_none_is_pending()
        first = {arrival.to for arrival in room.handset.arrivals}
        await room.jump(timedelta(hours=2))
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE escalation SET state = 'ended', ended_at = now() - interval '25 hours'")
        await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()
        again = len(room.sms_to(HEAD))
        await breach(room, breach_id, is_over=True)
        await room.jump(timedelta(days=2))
        await room.escalate.repeat_unanswered()
        await room.wait_until_none_is_pending()

    assert first == {COORDINATOR, HEAD, BOARD}
    assert again >= 2
    assert len(room.sms_to(HEAD)) == again


async def test_an_alarm_and_a_referral_for_one_person_are_one_message_that_counts_both(room: Room) -> None:
    room.bundle_period = 3600
    async with room.running():
        await room.offer(Referral("uptd-ppa", "medium"))
        await alarm(room, uuid4(), "silent")
        await room.rows("UPDATE alert SET due_at = now()")
        await room.phone(COORDINATOR).expect_sms("1 kasus: 1 alarm sistem atau data, 1 menunggu jawaban. ")

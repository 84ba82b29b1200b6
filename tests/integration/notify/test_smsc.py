"""A real Kannel before an operator that fails as written: reports come late, twice, in disorder or never."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from simpul_dev.backends import Backends
from simpul_notify.channels import KannelSms
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.escalation_policy import EscalationPolicy, Methods
from simpul_schema.vocabulary import Urgency
from tests.integration.notify.conftest import PASSWORD, REPLY_TOKEN, USER, Gateway
from tests.integration.notify.room import ROSTER, Referral, Room, a_room
from tests.support.ledger import eventually
from tests.support.smsc import Script, Smsc, Status, serving_smsc

NUMBER, MAILBOX = "6283400111006", "igd@rs-rujukan.example"
MINUTE = timedelta(minutes=1)
IN_TURN = {Urgency.MEDIUM: EscalationPolicy(Methods.IN_TURN, 2 * MINUTE, 20 * MINUTE)}


@pytest.fixture
async def smsc(smpp_gateway: Gateway) -> AsyncIterator[Smsc]:
    async with serving_smsc(smpp_gateway.ports["operator"]) as operator:
        await asyncio.to_thread(smpp_gateway.wait_until, lambda status: "(online" in status, "bearerbox")
        yield operator


@pytest.fixture
async def room(backends: Backends, tmp_path: Path, smpp_gateway: Gateway) -> AsyncIterator[Room]:
    """The hospital's person is alerted by SMS, and by mail when the phone does not report."""
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(ROSTER, policies={**ROSTER.policies, **IN_TURN})
        prepared.web_port = smpp_gateway.ports["notify"]
        _, mail = prepared.make_providers()
        prepared.providers = [KannelSms(smpp_gateway.url, USER, PASSWORD, "Simpul", 5, reply_token=REPLY_TOKEN), mail]
        yield prepared


async def offer(room: Room, smsc: Smsc) -> Referral:
    """Offers a referral; the operator has taken its SMS afterwards."""
    referral = Referral(urgency="medium")
    await room.offer(referral)
    await eventually(lambda: has_taken(smsc))
    await room.wait_until_none_is_pending(channel="sms")
    return referral


async def has_taken(smsc: Smsc, count: int = 1) -> bool:
    return len(smsc.taken[NUMBER]) == count


async def is_in(room: Room, state: DeliveryState) -> bool:
    return ("kannel", state) in await room.deliveries()


async def is_mailed(room: Room) -> bool:
    return room.mailbox.recipients == [MAILBOX]


async def test_a_report_twice_and_out_of_order_is_one_arrival_and_no_second_message(room: Room, smsc: Smsc) -> None:
    smsc.scripts[NUMBER] = Script(reports=("DELIVRD", "DELIVRD", "ENROUTE", "UNDELIV"))
    async with room.running():
        await offer(room, smsc)
        await eventually(lambda: is_in(room, DeliveryState.ON_HANDSET))
        await room.pass_time(5 * MINUTE)

    assert await room.deliveries() == [("kannel", DeliveryState.ON_HANDSET)]
    assert (len(smsc.taken[NUMBER]), room.mailbox.recipients) == (1, [])


async def test_a_missing_report_is_followed_by_a_mail_and_counts_when_it_comes_late(room: Room, smsc: Smsc) -> None:
    smsc.scripts[NUMBER] = Script(reports=())
    async with room.running():
        await offer(room, smsc)
        await room.pass_time(2 * MINUTE)
        await eventually(lambda: is_mailed(room))
        await room.wait_until_none_is_pending()
        before = (await room.deliveries())[0]
        await smsc.report(NUMBER, "DELIVRD")
        await eventually(lambda: is_in(room, DeliveryState.ON_HANDSET))

    assert before < ("kannel", DeliveryState.ON_HANDSET)
    assert len(smsc.taken[NUMBER]) == 1


@pytest.mark.parametrize("state", ["UNDELIV", "EXPIRED", "REJECTD"])
async def test_what_the_network_gives_up_is_mailed_at_once(room: Room, smsc: Smsc, state: str) -> None:
    smsc.scripts[NUMBER] = Script(reports=(state,))
    async with room.running():
        await offer(room, smsc)
        await eventually(lambda: is_mailed(room))
        await room.wait_until_none_is_pending()

    assert await room.states() == ["failed", "sent"]
    assert (await room.deliveries())[0] == ("kannel", DeliveryState.FAILED)


async def test_a_number_that_the_network_refuses_after_the_gateway_took_it_is_mailed_at_once(
    room: Room, smsc: Smsc
) -> None:
    smsc.scripts[NUMBER] = Script(answers=(Status.INVALID_NUMBER,))
    async with room.running():
        await room.offer(Referral(urgency="medium"))
        await eventually(lambda: is_mailed(room))
        await room.wait_until_none_is_pending()

    assert (smsc.submissions[NUMBER], smsc.taken[NUMBER]) == (1, [])
    assert await room.states() == ["failed", "sent"]


@pytest.mark.parametrize("status", [Status.THROTTLED, Status.QUEUE_FULL])
async def test_an_operator_that_is_busy_for_a_moment_gets_the_sms_again_and_the_phone_gets_it_once(
    room: Room, smsc: Smsc, status: Status
) -> None:
    smsc.scripts[NUMBER] = Script(answers=(status,))
    async with room.running():
        await offer(room, smsc)
        await eventually(lambda: is_in(room, DeliveryState.ON_HANDSET))

    assert (smsc.submissions[NUMBER], len(smsc.taken[NUMBER])) == (2, 1)
    assert await room.deliveries() == [("kannel", DeliveryState.ON_HANDSET)]


async def test_an_operator_that_comes_back_gets_what_waited_and_its_report_counts(room: Room, smsc: Smsc) -> None:
    smsc.disconnect()
    async with room.running():
        await offer(room, smsc)
        await eventually(lambda: is_in(room, DeliveryState.ON_HANDSET))

    assert len(smsc.taken[NUMBER]) == 1


async def test_what_a_gateway_had_taken_when_it_was_killed_reaches_the_phone_once(
    room: Room, smpp_gateway: Gateway, smsc: Smsc
) -> None:
    smsc.scripts[NUMBER] = Script(answers=(Status.THROTTLED,) * 1000)
    async with room.running():
        await room.offer(Referral(urgency="medium"))
        await room.wait_until_none_is_pending(channel="sms")
        smpp_gateway.kill()
        smsc.scripts[NUMBER] = Script()
        # Not in another thread: what a thread has started ends with it.
        smpp_gateway.start_boxes()
        await eventually(lambda: has_taken(smsc))

    assert len(smsc.taken[NUMBER]) == 1


async def test_a_phone_answers_by_the_operator_and_that_ends_the_alerts(room: Room, smsc: Smsc) -> None:
    async with room.running():
        await offer(room, smsc)
        await smsc.send(NUMBER, "TERIMA")
        await eventually(lambda: has_ended(room))
        await room.pass_time(30 * MINUTE)

    assert (len(smsc.taken[NUMBER]), room.mailbox.recipients) == (1, [])


async def test_a_long_answer_that_comes_in_parts_is_one_answer(room: Room, smsc: Smsc) -> None:
    polite = "Selamat malam, pesan sudah kami baca dan kami bicarakan dengan teman sejawat. " * 2
    async with room.running():
        await offer(room, smsc)
        await smsc.send_in_parts(NUMBER, f"{polite[:140]} TERI", "MA, saya berangkat sekarang.")
        await eventually(lambda: has_ended(room))

    [row] = await room.rows("SELECT answer FROM notification WHERE answer IS NOT NULL")
    assert row["answer"] == "on_it"


async def has_ended(room: Room) -> bool:
    return {row["state"] for row in await room.rows("SELECT state FROM escalation")} == {"ended"}

"""The kit on a real broker: stored before it is taken, handled once and in order, said until it is heard."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from simpul_agency import Received, Reply
from simpul_agency.agency import ReferralUnknown
from simpul_city import FilteredQueue
from simpul_cli.topology import apply_topology
from simpul_runtime.topology import topology_of
from simpul_schema.messages import ReferralCancelledV1, ReferralOfferedV1
from simpul_schema.names import REPLIES
from simpul_schema.vocabulary import ReferralOutcome
from simpul_seal import sign
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually


async def test_an_event_that_comes_twice_is_handled_once_and_answered_once(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append((referral.code, referral.facts and referral.facts.violence[0].value))
        reply.accept()
        reply.accept()

    await agency.start()
    offer = town.offer()
    await town.send(offer, offer)
    await town.hears(offer, "delivered", "accepted")
    await agency.stop()
    again = town.agency()
    again.on(ReferralOfferedV1)(receive)
    await again.start()
    await town.send(offer)
    other = town.offer()
    await town.send(other)
    await town.hears(other, "delivered", "accepted")

    assert [facts for _, facts in calls] == ["physical", "physical"]
    assert town.replies(offer) == ["delivered", "accepted"]
    await again.stop()


async def test_a_handler_that_fails_or_is_slow_holds_up_no_other_referral(town: Town) -> None:
    agency, calls = town.agency(), []
    slow, bad, good = town.offer(), town.offer(), town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        subject = referral.event.subject
        calls.append(subject)
        reply.seen()
        if subject == slow["subject"]:
            await asyncio.sleep(2)
        if subject == bad["subject"] and calls.count(subject) < 3:
            msg = "the agency's own system is away"
            raise ConnectionError(msg)
        reply.accept()

    await agency.start()
    await town.send(slow, bad, good)
    await town.hears(good, "delivered", "seen", "accepted")
    assert "accepted" not in town.replies(slow) + town.replies(bad)

    # What the first two calls had said before they failed was never said.
    await town.hears(bad, "delivered", "seen", "accepted")
    await town.hears(slow, "delivered", "seen", "accepted")
    assert calls.count(bad["subject"]) == 3
    await agency.stop()


async def test_the_events_of_a_referral_are_handled_in_order_whatever_order_they_come_in(town: Town) -> None:
    agency = town.agency()
    calls: list[str] = []
    offer = town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        await asyncio.sleep(0.2)
        calls.append(referral.event.type)

    @agency.on(ReferralCancelledV1)
    async def cancelled(referral: Received[ReferralCancelledV1], reply: Reply) -> None:
        calls.append(referral.event.type)

    await agency.start()
    await town.send(town.cancel(offer))
    await asyncio.sleep(0.3)
    assert calls == []
    await town.send(offer)

    async def both() -> bool:
        return len(calls) == 2

    await eventually(both)
    assert calls == ["referral.offered.v1", "referral.cancelled.v1"]
    await agency.stop()


async def test_a_reply_is_kept_through_an_outage_and_can_be_made_days_later(town: Town) -> None:
    agency = town.agency()
    offer = town.offer()
    await agency.start()
    await town.send(offer)
    await town.hears(offer, "delivered")
    await town.api.call("DELETE", "exchanges", "{vhost}", REPLIES)
    async with agency.reply(UUID(offer["data"]["referral_id"])) as reply:
        reply.accept()
        reply.complete(ReferralOutcome.SERVED)
    await asyncio.sleep(0.5)
    await agency.stop()
    assert town.replies(offer) == ["delivered"]
    await apply_topology(town.api, topology_of(["ylpa"]))
    await town.api.call(
        "POST", "bindings", "{vhost}", "e", REPLIES, "q", "ear", body={"routing_key": "#", "arguments": {}}
    )
    again = town.agency()
    await again.start()

    await town.hears(offer, "delivered", "accepted", "completed")
    with pytest.raises(ReferralUnknown):
        async with again.reply(uuid4()) as reply:
            reply.accept()
    await again.stop()


async def test_what_cannot_be_used_is_set_aside_with_its_reason_and_stops_nothing(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.event.subject)

    await agency.start()
    altered, good = town.offer(), town.offer()
    await town.send(town.offer(), by="rs-rujukan")
    await town.send(town.offer(source="/kediri/intake"), by="intake")
    await town.send(town.offer(type="referral.offered.v9"))
    await town.send(town.offer(sealed_to="rs-rujukan"))
    await town.send(town.offer() | {"data": {"agency": "ylpa"}})
    other = town.offer()
    other["data"]["agency"] = "rs-rujukan"
    await town.send(other)
    await town.send(altered, body=b"{not json", signature=sign(b"{not json", town.rings["routing"]))
    await town.send(altered, body=json.dumps(altered).encode())
    await town.send(good)
    await town.hears(good, "delivered")

    async def all_parked() -> bool:
        return len(await agency.store.parked()) == 8

    await eventually(all_parked)
    assert {parked.reason for parked in await agency.store.parked()} == {
        "forged", "unauthorized_publisher", "unknown_type", "cannot_open", "invalid", "for_another_agency", "malformed",
        "unsigned",
    }  # fmt: skip
    assert calls == [good["subject"]]

    async def all_reported() -> bool:
        return len([event for event in town.heard if event["type"] == "reply.message.parked.v1"]) == 8

    await eventually(all_reported)
    [unopened] = [parked for parked in await agency.store.parked() if parked.reason == "cannot_open"]
    assert await agency.replay(unopened.name)
    assert not await agency.replay("nothing")
    assert await all_parked()
    assert await all_reported()
    await agency.stop()


async def test_a_ward_answers_from_its_own_queue_beside_the_inbox(town: Town) -> None:
    await apply_topology(town.api, topology_of(["ylpa"], [FilteredQueue("ylpa", "ward", ("medical_care",))]))
    ward = town.agency(queue="ward", store_url=f"sqlite:///{town.folder / 'ward.db'}")
    calls: list[str] = []

    @ward.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.data.service)
        reply.accept()

    medical, other = town.offer(), town.offer()
    medical["data"]["service"] = "medical_care"
    await ward.start()
    await town.send(other, medical)
    await town.hears(medical, "delivered", "accepted")
    inbox = town.agency()
    await inbox.start()
    await town.hears(other, "delivered")

    async def heard_from_both() -> bool:
        return len([event for event in town.heard if event["subject"] == medical["subject"]]) == 3

    await eventually(heard_from_both)
    sources = {(e["source"], e["sequence"]) for e in town.heard if e["subject"] == medical["subject"]}
    assert sources == {
        ("/kediri/agency/ylpa--ward", "0000000001"), ("/kediri/agency/ylpa--ward", "0000000002"),
        ("/kediri/agency/ylpa", "0000000001"),
    }  # fmt: skip
    assert calls == ["medical_care"]
    await ward.stop()
    await inbox.stop()


async def test_a_handler_that_is_cancelled_from_outside_is_called_again(town: Town) -> None:
    agency, calls = town.agency(concurrency=1), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: Received[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.event.subject)
        if len(calls) == 1:
            raise asyncio.CancelledError
        reply.accept()

    await agency.start()
    first, second = town.offer(), town.offer()
    await town.send(first, second)

    await town.hears(first, "delivered", "accepted")
    await town.hears(second, "delivered", "accepted")
    await agency.stop()

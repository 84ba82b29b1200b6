"""The kit on a real broker: it stores before it acknowledges, handles once and in order, and repeats replies."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from simpul_agency import ReceivedEvent, Reply
from simpul_agency.agency import ReferralUnknown
from simpul_city import FilteredQueue
from simpul_cli.city_topology import build_topology
from simpul_cli.topology import apply_topology
from simpul_schema.messages import ReferralAmendedV1, ReferralCancelledV1, ReferralOfferedV1
from simpul_schema.names import REPLIES
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome, Service
from simpul_seal import sign
from tests.integration.agency.conftest import Town, a_service
from tests.support.ledger import eventually


async def test_an_event_that_is_delivered_twice_is_handled_and_answered_once(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        calls.append((referral.code, referral.facts and referral.facts.violence[0].value))
        reply.accept()
        reply.accept()

    await agency.start()
    offer = town.offer()
    await town.send(offer, offer)
    await town.expect_replies(offer, "delivered", "accepted")
    await agency.stop()
    again = town.agency()
    again.on(ReferralOfferedV1)(receive)
    await again.start()
    await town.send(offer)
    other = town.offer()
    await town.send(other)
    await town.expect_replies(other, "delivered", "accepted")

    assert [facts for _, facts in calls] == ["physical", "physical"]
    assert town.replies(offer) == ["delivered", "accepted"]
    await again.stop()


async def test_a_failing_or_slow_handler_does_not_block_other_referrals(town: Town) -> None:
    agency, calls, good_is_answered = town.agency(), [], asyncio.Event()
    slow, bad, good = town.offer(), town.offer(), town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        subject = referral.event.subject
        calls.append(subject)
        reply.mark_seen()
        if subject == slow["subject"]:
            await good_is_answered.wait()
        if subject == bad["subject"] and not (good_is_answered.is_set() and calls.count(subject) >= 3):
            msg = "the agency's own system is away"
            raise ConnectionError(msg)
        reply.accept()

    await agency.start()
    await town.send(slow, bad, good)
    await town.expect_replies(good, "delivered", "seen", "accepted")
    assert "accepted" not in town.replies(slow) + town.replies(bad)

    good_is_answered.set()
    # The replies of the calls that failed were dropped.
    await town.expect_replies(bad, "delivered", "seen", "accepted")
    await town.expect_replies(slow, "delivered", "seen", "accepted")
    assert calls.count(bad["subject"]) >= 3
    await agency.stop()


async def test_the_events_of_a_referral_are_handled_in_order_whatever_order_they_come_in(town: Town) -> None:
    agency = town.agency()
    calls: list[str] = []
    offer = town.offer()

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        await asyncio.sleep(0.2)
        calls.append(referral.event.type)

    @agency.on(ReferralCancelledV1)
    async def cancelled(referral: ReceivedEvent[ReferralCancelledV1], reply: Reply) -> None:
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


async def test_a_reply_survives_an_outage_and_can_be_given_days_later(town: Town) -> None:
    agency = town.agency()
    offer = town.offer()
    await agency.start()
    await town.send(offer)
    await town.expect_replies(offer, "delivered")
    await town.api.call("DELETE", "exchanges", "{vhost}", REPLIES)
    async with agency.reply(UUID(offer["data"]["referral_id"])) as reply:
        reply.accept()
        reply.complete(ReferralOutcome.SERVED)
    await asyncio.sleep(0.5)
    await agency.stop()
    assert town.replies(offer) == ["delivered"]
    await apply_topology(town.api, build_topology(["ylpa"]))
    await town.api.call(
        "POST", "bindings", "{vhost}", "e", REPLIES, "q", "replies", body={"routing_key": "#", "arguments": {}}
    )
    again = town.agency()
    await again.start()

    await town.expect_replies(offer, "delivered", "accepted", "completed")
    with pytest.raises(ReferralUnknown):
        async with again.reply(uuid4()) as reply:
            reply.accept()
    await again.stop()


async def test_unusable_messages_are_parked_and_do_not_stop_the_consumer(town: Town) -> None:
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
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
    await town.expect_replies(good, "delivered")

    async def all_parked() -> bool:
        return len(await agency.store.list_parked()) == 8

    await eventually(all_parked)
    assert {parked.reason for parked in await agency.store.list_parked()} == {
        "forged",
        "unauthorized_publisher",
        "unknown_type",
        "cannot_open",
        "invalid",
        "for_another_agency",
        "malformed",
        "unsigned",
    }
    assert calls == [good["subject"]]

    async def all_reported() -> bool:
        return len([event for event in town.received if event["type"] == "reply.message.parked.v1"]) == 8

    await eventually(all_reported)
    [unopened] = [parked for parked in await agency.store.list_parked() if parked.reason == "cannot_open"]
    assert await agency.replay_parked(unopened.name)
    assert not await agency.replay_parked("nothing")
    assert await all_parked()
    assert await all_reported()
    await agency.stop()


async def test_a_ward_replies_from_its_own_queue_in_addition_to_the_inbox(town: Town) -> None:
    await apply_topology(town.api, build_topology(["ylpa"], [FilteredQueue("ylpa", "ward", ("medical_care",))]))
    ward = town.agency(queue="ward", store_url=f"sqlite:///{town.folder / 'ward.db'}")
    calls: list[str] = []

    @ward.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.data.services[0].service)
        reply.accept()

    medical, other = town.offer("medical_care", "shelter"), town.offer()
    await ward.start()
    await town.send(other, medical)
    await town.expect_replies(medical, "delivered", "accepted")
    inbox = town.agency()
    await inbox.start()
    await town.expect_replies(other, "delivered")

    async def both_have_replied() -> bool:
        return len([event for event in town.received if event["subject"] == medical["subject"]]) == 3

    await eventually(both_have_replied)
    sources = {(e["source"], e["sequence"]) for e in town.received if e["subject"] == medical["subject"]}
    assert sources == {
        ("/kediri/agency/ylpa--ward", "0000000001"),
        ("/kediri/agency/ylpa--ward", "0000000002"),
        ("/kediri/agency/ylpa", "0000000001"),
    }
    assert calls == ["medical_care"]
    await ward.stop()
    await inbox.stop()


async def test_services_are_accepted_and_declined_one_by_one(town: Town) -> None:
    agency = town.agency()
    ours = {Service.PSYCHOLOGIST, Service.COUNSELLING}

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        reply.accept([one.service_id for one in referral.new_services if one.service in ours])
        reply.decline(
            DeclineReason.OUTSIDE_MANDATE, [one.service_id for one in referral.new_services if one.service not in ours]
        )

    await agency.start()
    mixed, own = town.offer("psychologist", "shelter", "counselling"), town.offer("counselling")
    await town.send(mixed, own)
    await town.expect_replies(mixed, "delivered", "accepted", "declined")
    # A list without a service is not taken for all services.
    await town.expect_replies(own, "delivered", "accepted")

    assert town.replies_with_services(mixed) == [
        ("delivered", []),
        ("accepted", ["psychologist", "counselling"]),
        ("declined", ["shelter"]),
    ]
    await agency.stop()


async def test_an_added_service_is_confirmed_and_accepted_alone(town: Town) -> None:
    agency, added = town.agency(), a_service("legal_aid")

    @agency.on(ReferralOfferedV1)
    @agency.on(ReferralAmendedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1 | ReferralAmendedV1], reply: Reply) -> None:
        reply.accept()

    await agency.start()
    offer = town.offer("psychologist")
    await town.send(offer)
    await town.expect_replies(offer, "delivered", "accepted")
    # New facts alone ask for nothing.
    await town.send(town.amendment(offer, offer["data"]["services"]))
    await town.send(town.amendment(offer, offer["data"]["services"], added, sequence=3))
    await town.expect_replies(offer, "delivered", "accepted", "delivered", "accepted")

    assert [named for _, named in town.replies_with_services(offer)] == [
        [],
        ["psychologist"],
        [],
        [added["service_id"]],
    ]
    await agency.stop()


async def test_a_reply_without_services_names_those_that_this_agency_knows(town: Town) -> None:
    agency, added = town.agency(), a_service("legal_aid")
    offer = town.offer("psychologist", "shelter")
    referral_id = UUID(offer["data"]["referral_id"])
    [psychologist, shelter] = offer["data"]["services"]
    await agency.start()
    await town.send(offer)
    await town.expect_replies(offer, "delivered")
    async with agency.reply(referral_id) as reply:
        reply.decline(DeclineReason.NO_CAPACITY, [UUID(shelter["service_id"])])
    async with agency.reply(referral_id) as reply:
        reply.accept()
        reply.start()
    await town.send(town.amendment(offer, [psychologist], added))
    await town.expect_replies(offer, "delivered", "declined", "accepted", "started", "delivered")
    view = await agency.find_referral(referral_id)
    async with agency.reply(referral_id) as reply:
        reply.accept()
    await town.expect_replies(offer, "delivered", "declined", "accepted", "started", "delivered", "accepted")

    assert town.replies_with_services(offer)[1:] == [
        ("declined", ["shelter"]), ("accepted", ["psychologist"]), ("started", []), ("delivered", []),
        ("accepted", [added["service_id"]]),
    ]  # fmt: skip
    assert [(one.requested.service, one.state, one.is_new) for one in view.services] == [
        (Service.PSYCHOLOGIST, "reply.referral.started.v1", False),
        (Service.LEGAL_AID, "referral.offered.v1", True),
        (Service.SHELTER, "reply.referral.declined.v1", False),
    ]
    await agency.stop()


async def test_a_reply_that_the_city_refuses_for_one_service_does_not_count_for_it(town: Town) -> None:
    agency, offer = town.agency(), town.offer("psychologist", "shelter")
    referral_id = UUID(offer["data"]["referral_id"])
    await agency.start()
    await town.send(offer)
    await town.expect_replies(offer, "delivered")
    async with agency.reply(referral_id) as reply:
        reply.accept()
    await town.expect_replies(offer, "delivered", "accepted")
    accepted = next(event for event in town.received if event["type"] == "reply.referral.accepted.v1")
    await town.send(town.refusal(offer, accepted["id"], offer["data"]["services"][1]["service_id"]))

    async def is_refused() -> bool:
        return bool((await agency.find_referral(referral_id)).refused)

    await eventually(is_refused)
    view = await agency.find_referral(referral_id)
    assert [one.requested.service for one in view.unanswered] == [Service.SHELTER]
    assert view.refused[0].services == (Service.SHELTER,)
    await agency.stop()


async def test_referrals_are_listed_by_their_last_change(town: Town) -> None:
    agency, offers = town.agency(), [town.offer() for _ in range(3)]
    await agency.start()
    for offer in offers:
        await town.send(offer)
        await town.expect_replies(offer, "delivered")
    # The first opens again; many amendments of one referral hide no other.
    await town.send(*(town.amendment(offers[2], offers[2]["data"]["services"], sequence=n) for n in range(2, 9)))
    await town.send(town.cancel(offers[0]), town.amendment(offers[0], [], a_service("shelter"), sequence=3))
    await town.expect_replies(offers[0], "delivered", "delivered")

    listed = [str(one.referral_id) for one in await agency.list_referrals(2)]
    assert listed == [offers[0]["data"]["referral_id"], offers[2]["data"]["referral_id"]]
    assert [one.is_open for one in await agency.list_referrals(1)] == [True]
    await agency.stop()


async def test_a_handler_that_is_cancelled_from_outside_is_called_again(town: Town) -> None:
    agency, calls = town.agency(concurrency=1), []

    @agency.on(ReferralOfferedV1)
    async def receive(referral: ReceivedEvent[ReferralOfferedV1], reply: Reply) -> None:
        calls.append(referral.event.subject)
        if len(calls) == 1:
            raise asyncio.CancelledError
        reply.accept()

    await agency.start()
    first, second = town.offer(), town.offer()
    await town.send(first, second)

    await town.expect_replies(first, "delivered", "accepted")
    await town.expect_replies(second, "delivered", "accepted")
    await agency.stop()

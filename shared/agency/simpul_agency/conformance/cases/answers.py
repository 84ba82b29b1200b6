"""A consumer answers offers as the contract requires."""

from datetime import timedelta
from typing import Final

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail
from simpul_agency.sandbox.events import utc_now
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import broker_user

CANARY: Final = "Wenthilora Paksibumi"
"""An invented name that no reply may contain."""


@case("An offer is answered with delivered, then accepted or declined: the clock stops only for an answer.")
async def offer_is_answered(trial: Trial) -> None:
    await trial.expect_answered(await trial.send_offer())


@case("Offers of different services, urgencies and roles are answered, not only those of an example.")
async def every_scenario_is_answered(trial: Trial) -> None:
    offers = [await trial.send_offer(number) for number in range(1, 6)]
    offers.append(await trial.send_offer(services=[trial.city.events.create_service("shelter", role="support")]))
    await trial.expect_answered(*offers)


@case("Replies carry a signature over their bytes, made with the agency's key; the city parks all others.")
async def replies_are_signed(trial: Trial) -> None:
    offer = await trial.send_offer(2)
    await trial.expect_answered(offer)
    trial.expect_valid(trial.city.reply_log.replies)


@case("Replies name their case and the event that caused them, so that a timeline is complete.")
async def replies_name_case_and_cause(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    for reply in trial.city.reply_log.replies_to(offer):
        event = reply.event
        expect(event["correlationid"] == offer["correlationid"], "correlationid is not the offer's")
        expect(event.get("causationid") == offer["id"], "causationid is not the id of the offer")
        expect(event["data"]["referral_id"] == offer["data"]["referral_id"], "referral_id is not the offer's")


@case("Replies are numbered 1, 2, ... in the stream of their referral: the city waits for a missing number.")
async def replies_are_numbered(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)


@case("Replies carry the user_id, which the broker checks, the content type, and persistence.")
async def replies_are_addressed(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    for reply in trial.city.reply_log.replies_to(offer):
        expect(reply.user == broker_user(trial.city.agency), f"user_id is {reply.user or 'missing'}")
        expect(reply.content_type == CONTENT_TYPE, f"content type is {reply.content_type or 'missing'}")
        expect(reply.is_persistent, "a reply is not persistent, and would be lost when the broker restarts")


@case("Replies hold no personal data in clear: sealed facts stay with the agency.")
async def nothing_personal_in_clear(trial: Trial) -> None:
    offer = trial.city.events.create_offer(4)
    offer["data"]["sealed"]["facts"] = trial.city.events.seal_facts(offer, {"kecamatan": CANARY})
    await trial.city.send(offer)
    await trial.expect_answered(offer)
    for reply in trial.city.reply_log.replies:
        repeated = [name for name in ReferralFacts.model_fields if f'"{name}"'.encode() in reply.body]
        if CANARY.encode() in reply.body or repeated:
            fail(f"{reply.type} repeats a sealed fact in clear")


@case("An offer whose deadline is near or past is answered: the city decides what is too late.")
async def deadline_edge_is_answered(trial: Trial) -> None:
    near = await trial.send_offer(answer_by=utc_now() + timedelta(seconds=1))
    past = await trial.send_offer(answer_by=utc_now() - timedelta(hours=1))
    await trial.expect_answered(near, past)


@case("The consumer acknowledges messages and limits its prefetch; otherwise a crash or a flood loses all of them.")
async def prefetch_is_bounded(trial: Trial) -> None:
    consumers = await trial.city.broker.describe_consumers()
    expect(bool(consumers), "the inbox has no consumer")
    for one in consumers:
        expect(bool(one["ack_required"]), "the consumer takes messages without acknowledging them")
        expect(0 < one["prefetch_count"] <= 1000, f"prefetch is {one['prefetch_count'] or 'unlimited'}, not 1 to 1000")


@case("A burst is answered completely: an accident or a boarding school concerns many children at once.")
async def burst_is_answered(trial: Trial) -> None:
    offers = [await trial.send_offer(number % 5 + 1) for number in range(100)]
    await trial.expect_answered(*offers, timeout=40)

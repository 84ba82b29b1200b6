"""A consumer follows the city's changes to a referral."""

from datetime import timedelta
from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail
from simpul_agency.sandbox.events import utc_now, wire_time
from simpul_agency.sandbox.replies import AgencyReply


def _amended(trial: Trial, offer: dict[str, Any]) -> dict[str, Any]:
    return trial.city.events.create_amendment(offer, offer["data"]["services"])


def _ended(trial: Trial, offer: dict[str, Any], wire_name: str, why: str) -> dict[str, Any]:
    return trial.city.events.create_ending(offer, wire_name, offer["data"]["services"], why)


@case("New facts about a referral are not a new referral: it is not accepted twice.")
async def amendment_is_not_a_new_offer(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.city.send(_amended(trial, offer))
    await trial.city.send(_amended(trial, offer))
    await trial.expect_answered(offer)


@case("A referral revoked while it is being accepted is accepted once at most, and the consumer continues.")
async def revocation_while_accepting(trial: Trial) -> None:
    offers = []
    for number in range(5):
        offer = await trial.send_offer(number + 1)
        await trial.city.send(_ended(trial, offer, "referral.revoked.v1", "facts_amended"))
        offers.append(offer)
    await trial.wait_for_reply(lambda: all(trial.city.reply_log.replies_to(offer) for offer in offers))
    await trial.wait_until_quiet()
    for offer in offers:
        kinds = trial.city.reply_log.kinds_of_replies_to(offer)
        expect(kinds[:1] == ["delivered"], f"a revoked offer was not confirmed as delivered: {', '.join(kinds)}")
        expect(kinds.count("accepted") <= len(offer["data"]["services"]), "a revoked offer was accepted more than once")
    await trial.expect_answered(await trial.send_offer())


@case("A cancelled referral stays cancelled: its offer is not answered when it is delivered again.")
async def cancelled_stays_cancelled(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    await trial.city.send(_ended(trial, offer, "referral.cancelled.v1", "taken_back"))
    await trial.wait_until_drained()
    await trial.city.repeat(offer)
    await trial.wait_until_drained()
    await trial.wait_until_quiet()
    trial.expect_answered_once(offer)


@case("An agency that was excluded from a case sends no more replies about it, and answers others.")
async def exclusion_is_honoured(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    before = len(trial.city.reply_log.replies_to(offer))
    await trial.city.send(_ended(trial, offer, "referral.revoked.v1", "agency_excluded"))
    await trial.expect_answered(await trial.send_offer(2))
    expect(len(trial.city.reply_log.replies_to(offer)) == before, "a reply came after the agency was excluded")


@case("A withdrawal of consent is acknowledged once: until then the city must assume that the data is still in use.")
async def withdrawn_consent_is_acknowledged(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    now = utc_now()
    withdrawn = trial.city.events.create_next(
        offer,
        "referral.consent_withdrawn.v1",
        withdrawn_at=wire_time(now),
        acknowledge_by=wire_time(now + timedelta(days=3)),
    )
    await trial.city.send(withdrawn)
    await trial.city.repeat(withdrawn)

    def acknowledged() -> list[AgencyReply]:
        return [one for one in trial.city.reply_log.replies_to(offer) if one.type == "reply.withdrawal.acknowledged.v1"]

    if not await trial.wait_for_reply(lambda: bool(acknowledged())):
        fail("a consent was withdrawn, and no reply.withdrawal.acknowledged.v1 came")
    await trial.wait_until_quiet()
    expect(len(acknowledged()) == 1, "a withdrawn consent was acknowledged more than once")
    trial.expect_valid(acknowledged())


@case("A refused reply is not repeated: the same reply would be refused again.")
async def refused_reply_is_not_repeated(trial: Trial) -> None:
    trial.city.records_replies = False
    try:
        offer = await trial.send_offer()
        await trial.expect_answered(offer)
        await trial.city.send(trial.city.events.create_refusal(trial.city.reply_log.replies_to(offer)[-1].event))
        await trial.wait_until_drained()
        await trial.wait_until_quiet()
        trial.expect_answered_once(offer)
        await trial.expect_answered(await trial.send_offer(2))
    finally:
        trial.city.records_replies = True


@case("Reminders and escalations are not new offers: they lead to no second answer.")
async def clock_steps_are_handled(trial: Trial) -> None:
    offer = await trial.send_offer()
    for step in (50, 100, 200):
        await trial.city.send(trial.city.events.create_clock_step(offer, step, offer["data"]["services"]))
    await trial.expect_answered(offer)
    await trial.wait_until_drained()

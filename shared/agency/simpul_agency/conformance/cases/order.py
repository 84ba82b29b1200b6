"""A consumer handles the events of a referral in order, whatever order they arrive in."""

import asyncio

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect


@case("A later event of a referral waits for the first: a referral cannot be cancelled before it was offered.")
async def early_event_waits(trial: Trial) -> None:
    offer = trial.city.events.create_offer()
    reminded = trial.city.events.create_clock_step(offer, 50, offer["data"]["services"])
    await trial.city.send(reminded)
    await asyncio.sleep(0.5)
    await trial.expect_unanswered(offer, "the offer has not come yet")
    await trial.city.send(offer)
    await trial.expect_answered(offer)


@case("The order is kept across a restart.")
async def early_event_waits_through_restart(trial: Trial) -> None:
    offer = trial.city.events.create_offer()
    services = offer["data"]["services"]
    await trial.city.send(trial.city.events.create_ending(offer, "referral.cancelled.v1", services, "taken_back"))
    await trial.wait_until_drained()
    await trial.kill()
    await trial.start()
    await trial.city.send(offer)
    await trial.wait_for_reply(lambda: bool(trial.city.reply_log.replies_to(offer)))
    await trial.wait_until_quiet()
    kinds = trial.city.reply_log.kinds_of_replies_to(offer)
    expect(kinds[:1] == ["delivered"], f"the offer came, and was answered with {', '.join(kinds) or 'nothing'}")
    expect(kinds.count("accepted") <= 1, "an offer was accepted more than once")


@case("A referral that waits does not block others.")
async def waiting_event_blocks_no_other_referral(trial: Trial) -> None:
    held = trial.city.events.create_offer()
    services = held["data"]["services"]
    await trial.city.send(trial.city.events.create_ending(held, "referral.cancelled.v1", services, "case_ended"))
    other = await trial.send_offer(2)
    await trial.expect_answered(other)
    await trial.city.send(held)
    await trial.wait_until_drained()

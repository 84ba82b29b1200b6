"""What belongs together is handled in its order, whatever order it comes in."""

import asyncio

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect
from simpul_agency.sandbox.city import utc_now, wire_time


@case("A later event of a referral waits for the first: nobody cancels what was not offered.")
async def early_event_waits(trial: Trial) -> None:
    offer = trial.city.offer()
    reminded = trial.city.then(
        offer, "referral.reminded.v1", clock="answer", step=50, due_at=offer["data"]["answer_by"],
        urgency=offer["data"]["urgency"], escalation_targets=[trial.city.agency],
    )  # fmt: skip
    await trial.city.send(reminded)
    await asyncio.sleep(0.5)
    await trial.unanswered(offer, "an offer that has not come yet")
    await trial.city.send(offer)
    await trial.answered(offer)


@case("The order is kept through a restart.")
async def early_event_waits_through_restart(trial: Trial) -> None:
    offer = trial.city.offer()
    cancelled = trial.city.then(offer, "referral.cancelled.v1", cancelled_at=wire_time(utc_now()), why="taken_back")
    await trial.city.send(cancelled)
    await trial.drained()
    await trial.kill()
    await trial.start()
    await trial.city.send(offer)
    await trial.city.until(lambda: bool(trial.city.words_to(offer)), 15)
    await trial.quiet()
    words = trial.city.words_to(offer)
    expect(words[:1] == ["delivered"], f"the offer came, and {', '.join(words) or 'nothing'} was said")
    expect(words.count("accepted") <= 1, "an offer was accepted more than once")


@case("One referral that waits holds up no other.")
async def waiting_event_holds_up_nobody(trial: Trial) -> None:
    held = trial.city.offer()
    early = trial.city.then(held, "referral.cancelled.v1", cancelled_at=wire_time(utc_now()), why="case_ended")
    await trial.city.send(early)
    other = await trial.offered(2)
    await trial.answered(other)
    await trial.city.send(held)
    await trial.drained()

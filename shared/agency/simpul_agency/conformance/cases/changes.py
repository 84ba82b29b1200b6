"""The city changes its mind, and the consumer goes along."""

from datetime import timedelta
from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail, patience
from simpul_agency.sandbox.city import Heard, utc_now, wire_time


def _amended(trial: Trial, offer: dict[str, Any]) -> dict[str, Any]:
    event = trial.city.then(
        offer, "referral.amended.v1", urgency="high", answer_by=wire_time(utc_now()),
    )  # fmt: skip
    event["data"]["sealed"] = {"facts": trial.city.sealed(event, {"injured": "yes"})}
    return event


@case("New facts about a referral are no new referral: it is not accepted twice.")
async def amendment_is_no_new_offer(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.city.send(_amended(trial, offer))
    await trial.city.send(_amended(trial, offer))
    await trial.answered(offer)


@case("A recall that crosses an acceptance leaves no doubt: one acceptance at most, and the consumer goes on.")
async def recall_while_accepting(trial: Trial) -> None:
    offers = []
    for number in range(5):
        offer = await trial.offered(number + 1)
        revoked = trial.city.then(offer, "referral.revoked.v1", revoked_at=wire_time(utc_now()), why="facts_amended")
        await trial.city.send(revoked)
        offers.append(offer)
    await trial.city.until(lambda: all(trial.city.words_to(offer) for offer in offers), 15)
    await trial.quiet()
    for offer in offers:
        words = trial.city.words_to(offer)
        expect(words[:1] == ["delivered"], f"a recalled offer was not acknowledged as delivered: {', '.join(words)}")
        expect(words.count("accepted") <= 1, "a recalled offer was accepted more than once")
    await trial.answered(await trial.offered())


@case("What was recalled stays recalled: its offer, delivered again, is not taken up.")
async def recalled_stays_recalled(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    cancelled = trial.city.then(offer, "referral.cancelled.v1", cancelled_at=wire_time(utc_now()), why="taken_back")
    await trial.city.send(cancelled)
    await trial.drained()
    await trial.city.repeat(offer)
    await trial.drained()
    await trial.quiet()
    trial.answered_once(offer)


@case("An agency that was excluded from a case says nothing more about it, and goes on with the others.")
async def exclusion_is_honoured(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    said = len(trial.city.replies_to(offer))
    revoked = trial.city.then(offer, "referral.revoked.v1", revoked_at=wire_time(utc_now()), why="agency_excluded")
    await trial.city.send(revoked)
    await trial.answered(await trial.offered(2))
    expect(len(trial.city.replies_to(offer)) == said, "something was said about a case after the exclusion")


@case(
    "A withdrawn consent is acknowledged in time, once: until then the city must believe that the data is still used."
)
async def withdrawn_consent_is_acknowledged(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    now = utc_now()
    withdrawn = trial.city.then(
        offer, "referral.consent_withdrawn.v1", withdrawn_at=wire_time(now),
        acknowledge_by=wire_time(now + timedelta(days=3)),
    )  # fmt: skip
    await trial.city.send(withdrawn)
    await trial.city.repeat(withdrawn)

    def acknowledged() -> list[Heard]:
        return [one for one in trial.city.replies_to(offer) if one.type == "reply.withdrawal.acknowledged.v1"]

    if not await trial.city.until(lambda: bool(acknowledged()), patience()):
        fail("a consent was withdrawn, and no reply.withdrawal.acknowledged.v1 came")
    await trial.quiet()
    expect(len(acknowledged()) == 1, "a withdrawn consent was acknowledged more than once")
    trial.no_problem(acknowledged())


@case("A reply that the city refuses is not said again: an argument with a machine helps no child.")
async def refused_reply_is_not_repeated(trial: Trial) -> None:
    trial.city.judges = False
    try:
        offer = await trial.offered()
        await trial.answered(offer)
        await trial.city.send(trial.city.refusal_of(trial.city.replies_to(offer)[-1]))
        await trial.drained()
        await trial.quiet()
        trial.answered_once(offer)
        await trial.answered(await trial.offered(2))
    finally:
        trial.city.judges = True


@case("Reminders, overdue and escalation are told to people; they are no new offer either.")
async def clock_steps_are_taken(trial: Trial) -> None:
    offer = await trial.offered()
    for wire_name, step in (("reminded", 50), ("overdue", 100), ("escalated", 200)):
        event = trial.city.then(
            offer, f"referral.{wire_name}.v1", clock="answer", step=step, due_at=offer["data"]["answer_by"],
            urgency=offer["data"]["urgency"], escalation_targets=[trial.city.agency],
        )  # fmt: skip
        await trial.city.send(event)
    await trial.answered(offer)
    await trial.drained()

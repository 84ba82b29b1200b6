"""A broker delivers at least once; an agency must act once."""

import asyncio

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect


@case("An event delivered twice has one effect: nobody visits a child twice because of a network failure.")
async def duplicate_has_one_effect(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.city.repeat(offer)
    await trial.expect_answered(offer)
    await trial.city.repeat(offer)
    await trial.wait_until_drained()
    await trial.wait_until_quiet()
    trial.expect_answered_once(offer)


@case("An event that was handled before a restart has no effect after it.")
async def duplicate_after_restart_has_one_effect(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    await trial.kill()
    await trial.city.repeat(offer)
    await trial.start()
    await trial.wait_until_drained()
    await trial.wait_until_quiet()
    trial.expect_answered_once(offer)


@case("A consumer that is killed at any moment answers every offer once after its restart.")
async def crash_loses_and_repeats_nothing(trial: Trial) -> None:
    for wait in (0.0, 0.02, 0.06):
        before = len(trial.city.reply_log.replies)
        offers = [await trial.send_offer(number % 5 + 1) for number in range(12)]
        await trial.city.reply_log.wait_until(lambda: len(trial.city.reply_log.replies) > before, 5)  # noqa: B023 - awaited here
        await asyncio.sleep(wait)
        await trial.kill()
        await trial.start()
        await trial.expect_answered(*offers, timeout=30)


@case("A known id with different content is an attack or a fault: it is parked and reported, and changes nothing.")
async def same_id_with_other_content_is_parked(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    other = trial.city.events.create_offer(3)
    altered = other | {"id": offer["id"]}
    altered["data"] = other["data"] | {"sealed": {"facts": trial.city.events.seal_facts(altered, {})}}
    sent = await trial.city.send(altered, is_listed=False)
    await trial.expect_parked(sent.body, "the id of an earlier event came with different content")
    await trial.expect_unanswered(altered, "an event reused an id")


@case("A consumer that gets SIGTERM ends in time with exit code 0, and answers later offers after its restart.")
async def stops_gracefully(trial: Trial) -> None:
    offers = [await trial.send_offer(number % 5 + 1) for number in range(5)]
    code = await trial.stop()
    offers.append(await trial.send_offer())
    await trial.start()
    await trial.expect_answered(*offers)
    expect(code == 0, f"the consumer ended with {code} after SIGTERM")

"""A broker delivers at least once; an agency acts once."""

import asyncio

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect


@case("The same event delivered twice has one effect: nobody visits a child twice because of a network.")
async def duplicate_has_one_effect(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.city.repeat(offer)
    await trial.answered(offer)
    await trial.city.repeat(offer)
    await trial.drained()
    await trial.quiet()
    trial.answered_once(offer)


@case("What was handled before a restart is known after it.")
async def duplicate_after_restart_has_one_effect(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    await trial.kill()
    await trial.city.repeat(offer)
    await trial.start()
    await trial.drained()
    await trial.quiet()
    trial.answered_once(offer)


@case("Killed at any moment, the consumer answers every offer after its restart, each once.")
async def crash_loses_and_doubles_nothing(trial: Trial) -> None:
    for wait in (0.0, 0.02, 0.06):
        before = len(trial.city.heard)
        offers = [await trial.offered(number % 5 + 1) for number in range(12)]
        await trial.city.until(lambda: len(trial.city.heard) > before, 5)  # noqa: B023 - awaited here
        await asyncio.sleep(wait)
        await trial.kill()
        await trial.start()
        await trial.answered(*offers, within=30)


@case("The same id with other content is an attack or a fault: it is kept aside and reported, and changes nothing.")
async def same_id_with_other_content_is_parked(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    other = trial.city.offer(3)
    altered = other | {"id": offer["id"]}
    altered["data"] = other["data"] | {"sealed": {"facts": trial.city.sealed(altered, {})}}
    sent = await trial.city.send(altered, is_counted=False)
    await trial.parked(sent.body, "the id of an earlier event came with other content")
    await trial.unanswered(altered, "an event reused an id")


@case("Asked to end, the consumer ends in time with success, and what came meanwhile is answered after its start.")
async def stops_gracefully(trial: Trial) -> None:
    offers = [await trial.offered(number % 5 + 1) for number in range(5)]
    code = await trial.stop()
    offers.append(await trial.offered())
    await trial.start()
    await trial.answered(*offers)
    expect(code == 0, f"the consumer ended with {code} when it was asked to end")

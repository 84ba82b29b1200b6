"""A consumer notices what it was not sent, and asks."""

import asyncio
import time

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail

ASK_WITHIN = 30.0


def _windows(trial: Trial) -> list[dict[str, object]]:
    return trial.city.said("reply.window.requested.v1")


async def _asks(trial: Trial, before: int, why: str) -> list[dict[str, object]]:
    if not await trial.city.until(lambda: len(_windows(trial)) > before, ASK_WITHIN):
        fail(f"{why}, and no reply.window.requested.v1 came within {ASK_WITHIN:.0f} s")
    return _windows(trial)[before:]


@case("An account whose events all came asks for nothing.")
async def complete_account_is_quiet(trial: Trial) -> None:
    await trial.answered(await trial.offered())
    await trial.drained()
    before = len(_windows(trial))
    await trial.city.beat()
    await trial.city.beat()
    await trial.city.until(lambda: len(_windows(trial)) > before, 4)
    expect(len(_windows(trial)) == before, "everything is here, and yet a window was requested")


@case("An event that the city accounts for and that never came is asked for, and answered when it comes.")
async def lost_event_is_asked_for(trial: Trial) -> None:
    lost = trial.city.offer()
    before = len(_windows(trial))
    await trial.city.send(lost, is_lost=True)
    await trial.city.beat()
    await _asks(trial, before, "an event in the city's account never came")
    await trial.answered(lost)


@case("A hole in the stream of a referral is asked for.")
async def gap_in_stream_is_asked_for(trial: Trial) -> None:
    offer = trial.city.offer()
    reminded = trial.city.then(
        offer, "referral.reminded.v1", clock="answer", step=50, due_at=offer["data"]["answer_by"],
        urgency=offer["data"]["urgency"], escalation_targets=[trial.city.agency],
    )  # fmt: skip
    before = len(_windows(trial))
    await trial.city.send(offer, is_lost=True)
    await trial.city.send(reminded)
    await _asks(trial, before, "the beginning of a referral never came")
    await trial.answered(offer)


@case("An account that was lost shows in the numbers of the next one.")
async def lost_account_is_asked_for(trial: Trial) -> None:
    lost = trial.city.offer()
    await trial.city.send(lost, is_lost=True)
    trial.city.lose_account()
    before = len(_windows(trial))
    await trial.answered(await trial.offered())
    await trial.city.beat()
    await _asks(trial, before, "an account, and an event in it, never came")
    await trial.answered(lost)


@case("A city that falls silent is asked: silence looks like peace, and may be a cut cable.")
async def missing_heartbeat_is_noticed(trial: Trial) -> None:
    before = len(_windows(trial))
    await trial.city.beat(allowance=1.5)
    await _asks(trial, before, "no heartbeat came when one was due")
    await trial.city.beat()


@case("A window that is sent again changes nothing for what was there already.")
async def window_sent_again_changes_nothing(trial: Trial) -> None:
    offers = [await trial.offered(number) for number in range(1, 6)]
    await trial.answered(*offers)
    lost = trial.city.offer()
    await trial.city.send(lost, is_lost=True)
    for offer in offers:
        await trial.city.repeat(offer)
    await trial.city.beat()
    await trial.answered(lost, *offers, within=ASK_WITHIN)


@case("A heartbeat that is overheard and sent again is no sign of life.")
async def old_heartbeat_is_no_sign_of_life(trial: Trial) -> None:
    await trial.city.beat(allowance=1.5)
    before, deadline = len(_windows(trial)), time.monotonic() + ASK_WITHIN
    while len(_windows(trial)) == before:
        expect(time.monotonic() < deadline, "old heartbeats came again and again, and the silence was not noticed")
        await trial.city.repeat_account()
        await asyncio.sleep(0.4)
    await trial.city.beat()


@case("An event that cannot be used, and is accounted for, hides no loss that follows it.")
async def unusable_event_hides_no_loss(trial: Trial) -> None:
    await trial.city.send(trial.city.offer() | {"type": "referral.offered.v2"})
    lost = trial.city.offer()
    await trial.city.send(lost, is_lost=True)
    before = len(_windows(trial))
    await trial.answered(await trial.offered())
    await trial.city.beat()
    await _asks(trial, before, "an event behind one that cannot be used never came")
    await trial.answered(lost)

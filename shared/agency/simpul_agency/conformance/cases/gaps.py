"""A consumer notices events that it did not receive, and requests them."""

import asyncio
import time

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect

RESEND_TIMEOUT = 30.0
"""Seconds within which a resend request must come; tests of broken consumers shorten it."""


@case("A manifest whose events were all received leads to no request.")
async def complete_manifest_requests_nothing(trial: Trial) -> None:
    await trial.expect_answered(await trial.send_offer())
    await trial.wait_until_drained()
    before = len(trial.resend_requests)
    await trial.city.publish_manifest()
    await trial.city.publish_manifest()
    await trial.city.reply_log.wait_until(lambda: len(trial.resend_requests) > before, 4)
    expect(len(trial.resend_requests) == before, "a resend was requested although nothing is missing")


@case("An event that the manifest lists and that did not come is requested, and answered when it comes.")
async def lost_event_is_requested(trial: Trial) -> None:
    lost = trial.city.events.create_offer()
    before = len(trial.resend_requests)
    await trial.city.send(lost, is_lost=True)
    await trial.city.publish_manifest()
    await trial.wait_for_resend_request(before, "an event in the manifest did not come", timeout=RESEND_TIMEOUT)
    await trial.expect_answered(lost)


@case("A gap in the stream of a referral is requested.")
async def gap_in_stream_is_requested(trial: Trial) -> None:
    offer = trial.city.events.create_offer()
    reminded = trial.city.events.create_clock_step(offer, 50, offer["data"]["services"])
    before = len(trial.resend_requests)
    await trial.city.send(offer, is_lost=True)
    await trial.city.send(reminded)
    await trial.wait_for_resend_request(before, "the first event of a referral did not come", timeout=RESEND_TIMEOUT)
    await trial.expect_answered(offer)


@case("A lost manifest shows in the numbers of the next one.")
async def lost_manifest_is_noticed(trial: Trial) -> None:
    lost = trial.city.events.create_offer()
    await trial.city.send(lost, is_lost=True)
    trial.city.lose_manifest()
    before = len(trial.resend_requests)
    await trial.expect_answered(await trial.send_offer())
    await trial.city.publish_manifest()
    await trial.wait_for_resend_request(before, "a manifest, and an event in it, did not come", timeout=RESEND_TIMEOUT)
    await trial.expect_answered(lost)


@case("The silence of a city leads to a resend request: it may mean that nothing happens, or that a cable is cut.")
async def missed_manifest_is_noticed(trial: Trial) -> None:
    before = len(trial.resend_requests)
    await trial.city.publish_manifest(max_silence=1.5)
    await trial.wait_for_resend_request(before, "a manifest was overdue", timeout=RESEND_TIMEOUT)
    await trial.city.publish_manifest()


@case("Resent events that were received before change nothing.")
async def resent_range_changes_nothing(trial: Trial) -> None:
    offers = [await trial.send_offer(number) for number in range(1, 6)]
    await trial.expect_answered(*offers)
    lost = trial.city.events.create_offer()
    await trial.city.send(lost, is_lost=True)
    for offer in offers:
        await trial.city.repeat(offer)
    await trial.city.publish_manifest()
    await trial.expect_answered(lost, *offers, timeout=RESEND_TIMEOUT)


@case("A manifest that somebody recorded and sends again does not end the silence.")
async def repeated_manifest_does_not_end_silence(trial: Trial) -> None:
    await trial.city.publish_manifest(max_silence=1.5)
    before, deadline = len(trial.resend_requests), time.monotonic() + RESEND_TIMEOUT
    while len(trial.resend_requests) == before:
        expect(time.monotonic() < deadline, "an old manifest came again and again, and the silence was not noticed")
        await trial.city.repeat_manifest()
        await asyncio.sleep(0.4)
    await trial.city.publish_manifest()


@case("An event that cannot be used, and is listed in a manifest, does not hide the loss of a later one.")
async def unusable_event_hides_no_loss(trial: Trial) -> None:
    await trial.city.send(trial.city.events.create_offer() | {"type": "referral.offered.v2"})
    lost = trial.city.events.create_offer()
    await trial.city.send(lost, is_lost=True)
    before = len(trial.resend_requests)
    await trial.expect_answered(await trial.send_offer())
    await trial.city.publish_manifest()
    await trial.wait_for_resend_request(
        before, "an event after one that cannot be used did not come", timeout=RESEND_TIMEOUT
    )
    await trial.expect_answered(lost)

"""A referral has several services: each is answered by itself, and they come and end one by one."""

from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect


async def _add_service(trial: Trial, offer: dict[str, Any], *more_added: str) -> None:
    """Amends a referral by one more service."""
    service = trial.city.events.create_service("accompany_report", urgency="medium")
    listed = [*trial.city.referral_of(offer).open_services, service]
    added = [service["service_id"], *more_added]
    await trial.city.send(trial.city.events.create_amendment(offer, listed, added=added))


@case("A referral may ask for several services: each is accepted or declined, once.")
async def every_service_is_answered(trial: Trial) -> None:
    create = trial.city.events.create_service
    many = [create("medical_care", urgency="high"), create("psychologist", "support", "medium"), create("social_aid")]
    await trial.expect_answered(await trial.send_offer(services=many), await trial.send_offer(4))


@case("A decline names its services and its reason: without it nobody can reroute them to the right agency.")
async def declines_give_a_reason(trial: Trial) -> None:
    before = len(trial.city.reply_log.replies)
    offers = [await trial.send_offer(number) for number in range(1, 6)]
    await trial.wait_for_reply(lambda: len(trial.city.reply_log.replies) >= before + 2 * len(offers))
    await trial.wait_until_quiet()
    for reply in trial.city.reply_log.replies[before:]:
        if reply.type == "reply.referral.declined.v1":
            expect(not reply.problem, f"a decline was refused: {reply.problem}")
    await trial.expect_answered(*offers)


@case("A service that is added to a referral is confirmed and answered, and the others are not answered again.")
async def added_service_is_answered(trial: Trial) -> None:
    offer = await trial.send_offer(2)
    await trial.expect_answered(offer)
    await _add_service(trial, offer)
    await trial.expect_answered(offer)
    await _add_service(trial, offer)
    await _add_service(trial, offer)
    await trial.expect_answered(offer)


@case("A service that is added while the first ones are being answered is answered too.")
async def service_added_early_is_answered(trial: Trial) -> None:
    offers = []
    for number in range(5):
        offer = await trial.send_offer(number + 1)
        await _add_service(trial, offer)
        offers.append(offer)
    await trial.expect_answered(*offers)


@case("The city may record an answer for some services and refuse it for others: the refused part is not repeated.")
async def partial_acceptance_is_followed(trial: Trial) -> None:
    offer = trial.city.events.create_offer(2)
    first = offer["data"]["services"][0]["service_id"]
    # The city has revoked the service, and the event that says so is on its way.
    trial.city.referral_of(offer).end_services([first])
    await trial.city.send(offer)
    await trial.expect_answered(offer)
    await _add_service(trial, offer)
    await trial.expect_answered(offer)


@case("An id in `added` without its service is not answered: nobody knows what it asks for. The others are.")
async def unknown_added_service_is_not_answered(trial: Trial) -> None:
    offer = await trial.send_offer(2)
    await trial.expect_answered(offer)
    unknown = trial.city.events.create_service("shelter")["service_id"]
    await _add_service(trial, offer, unknown)
    await trial.expect_answered(offer)


@case("An event ends only the services that it lists: what is added to the others later is answered.")
async def only_listed_services_end(trial: Trial) -> None:
    endings = (("referral.cancelled.v1", "taken_back"), ("referral.revoked.v1", "facts_amended"))
    for wire_name, why in endings:
        offer = await trial.send_offer(4)
        await trial.expect_answered(offer)
        [ended, *_] = offer["data"]["services"]
        await trial.city.send(trial.city.events.create_ending(offer, wire_name, [ended], why))
        await _add_service(trial, offer)
        await trial.expect_answered(offer)


@case("A referral whose services have all ended opens again when a service is added.")
async def ended_referral_opens_again(trial: Trial) -> None:
    offer = await trial.send_offer(3)
    await trial.expect_answered(offer)
    services = offer["data"]["services"]
    await trial.city.send(trial.city.events.create_ending(offer, "referral.cancelled.v1", services, "case_ended"))
    await trial.wait_until_drained()
    await _add_service(trial, offer)
    await trial.expect_answered(offer)

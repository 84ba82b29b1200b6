"""A later version of the contract adds values to extensible enumerations."""

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect


@case("A value that a later version added is taken for its fallback: the offer is answered, and nothing is parked.")
async def unknown_value_is_taken_for_its_fallback(trial: Trial) -> None:
    parked = len(trial.city.reply_log.data_of("reply.message.parked.v1"))
    later = trial.city.events.create_service("service_of_a_later_version")
    offer = trial.city.events.create_offer(services=[later])
    facts = {"violence": ["violence_of_a_later_version"]}
    offer["data"]["sealed"]["facts"] = trial.city.events.seal_facts(offer, facts)

    await trial.city.send(offer)
    await trial.expect_answered(offer)

    why = "reason_of_a_later_version"
    await trial.city.send(trial.city.events.create_ending(offer, "referral.cancelled.v1", [later], why))
    await trial.wait_until_drained()
    await trial.expect_answered(await trial.send_offer())
    reported = len(trial.city.reply_log.data_of("reply.message.parked.v1"))
    expect(reported == parked, "an event with an unknown value was parked")

"""An offer is answered, in the form of the contract."""

from datetime import timedelta

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail
from simpul_agency.sandbox.city import utc_now, wire_time
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import broker_user

CANARY = "Wenthilora Paksibumi"
"""An invented name that must never come back."""


@case("An offer is answered with delivered, then accepted or declined: the clock stops only for an answer.")
async def offer_is_answered(trial: Trial) -> None:
    await trial.answered(await trial.offered())


@case("Every service, urgency and role of the contract is answered, not only those of an example.")
async def every_scenario_is_answered(trial: Trial) -> None:
    offers = [await trial.offered(number) for number in range(1, 6)]
    offers.append(await trial.offered(2, role="support"))
    await trial.answered(*offers)


@case("Replies carry a signature over their bytes, made with the agency's key, or the city must park them.")
async def replies_are_signed(trial: Trial) -> None:
    offer = await trial.offered(2)
    await trial.answered(offer)
    trial.no_problem(trial.city.heard)


@case("Replies say whose case they belong to and what caused them, so that a timeline holds together.")
async def replies_name_case_and_cause(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    for heard in trial.city.replies_to(offer):
        event = heard.event
        expect(event["correlationid"] == offer["correlationid"], "correlationid is not the offer's")
        expect(event.get("causationid") == offer["id"], "causationid is not the id of the offer")
        expect(event["data"]["referral_id"] == offer["data"]["referral_id"], "referral_id is not the offer's")


@case("Replies are numbered 1, 2, ... in the stream of their referral: the city waits for a number that is left out.")
async def replies_are_numbered(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)


@case("Replies carry the broker's user_id, content type and persistence: the broker vouches for the sender with it.")
async def replies_are_addressed(trial: Trial) -> None:
    offer = await trial.offered()
    await trial.answered(offer)
    for heard in trial.city.replies_to(offer):
        expect(heard.user == broker_user(trial.city.agency), f"user_id is {heard.user or 'missing'}")
        expect(heard.content_type == CONTENT_TYPE, f"content type is {heard.content_type or 'missing'}")
        expect(heard.is_persistent, "a reply is not persistent: a broker's restart would lose it")


@case("A decline says why: without a reason nobody can hand the referral over to the right agency.")
async def declines_give_a_reason(trial: Trial) -> None:
    offers = [await trial.offered(number) for number in range(1, 6)]
    await trial.answered(*offers)
    for heard in trial.city.heard:
        if heard.type == "reply.referral.declined.v1":
            expect(not heard.problem, f"a decline was refused: {heard.problem}")


@case("Nothing personal goes out in clear: what was sealed to the agency stays there.")
async def nothing_personal_in_clear(trial: Trial) -> None:
    offer = trial.city.offer(4)
    offer["data"]["sealed"]["facts"] = trial.city.sealed(offer, {"kecamatan": CANARY})
    await trial.city.send(offer)
    await trial.answered(offer)
    for heard in trial.city.heard:
        told = [name for name in ReferralFacts.model_fields if f'"{name}"'.encode() in heard.body]
        if CANARY.encode() in heard.body or told:
            fail(f"{heard.type} repeats a sealed fact in clear")


@case("A deadline that is near or past is no reason not to answer: the city decides what is too late.")
async def deadline_edge_is_answered(trial: Trial) -> None:
    near = await trial.offered(answer_by=wire_time(utc_now() + timedelta(seconds=1)))
    past = await trial.offered(answer_by=wire_time(utc_now() - timedelta(hours=1)))
    await trial.answered(near, past)


@case("The consumer acknowledges, and takes no more at once than it can hold: otherwise a crash or a flood loses all.")
async def takes_a_bounded_number(trial: Trial) -> None:
    found = await trial.city.consumer_details()
    expect(bool(found), "the broker knows no consumer on the inbox")
    for one in found:
        expect(bool(one["ack_required"]), "the consumer takes messages without acknowledging them")
        expect(
            0 < one["prefetch_count"] <= 1000, f"prefetch is {one['prefetch_count'] or 'unlimited'}; 1 to 1000 wanted"
        )


@case("A burst is answered whole: a bus accident or a boarding school is many children at once.")
async def burst_is_answered(trial: Trial) -> None:
    offers = [await trial.offered(number % 5 + 1) for number in range(100)]
    await trial.answered(*offers, within=40)

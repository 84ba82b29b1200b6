"""A consumer parks and reports messages that it cannot use, and is not stopped by them."""

import asyncio
from hashlib import sha256

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect
from simpul_agency.sandbox.city import NEIGHBOUR
from simpul_schema.vocabulary import ParkReason
from simpul_seal import sign


@case("A field that a later minor version adds is ignored.")
async def unknown_field_is_ignored(trial: Trial) -> None:
    offer = trial.city.events.create_offer()
    offer["data"]["added_later"] = {"deep": [1, True, None, "ya"]}
    await trial.city.send(offer)
    await trial.expect_answered(offer)


@case("An unknown attribute of the envelope is ignored, although the signature covers it.")
async def unknown_attribute_is_ignored(trial: Trial) -> None:
    offer = trial.city.events.create_offer() | {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    }
    offer |= {"laterextension": 'é \u2028 \\ " \u0001'}
    await trial.city.send(offer)
    await trial.expect_answered(offer)


@case("An event of an unknown type is parked and reported; otherwise the city would believe that it was handled.")
async def unknown_type_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer() | {"type": "referral.postponed.v1"}
    sent = await trial.city.send(event, is_listed=False)
    await trial.expect_parked(sent.body, "its type is unknown")
    await trial.expect_unanswered(event, "its type is unknown")
    await trial.expect_answered(await trial.send_offer())


@case("When versions 1 and 2 are published together, version 1 is answered and version 2 parked.")
async def next_version_is_parked(trial: Trial) -> None:
    offer = trial.city.events.create_offer()
    later = trial.city.events.create_offer() | {"type": "referral.offered.v2"}
    sent = await trial.city.send(later, is_listed=False)
    await trial.city.send(offer)
    await trial.expect_answered(offer)
    await trial.expect_parked(sent.body, "a later version")


@case("An event that violates the contract is parked and reported, neither lost nor requeued.")
async def invalid_payload_is_parked(trial: Trial) -> None:
    for missing in ("answer_by", "services", "referral_id", "service_id"):
        event = trial.city.events.create_offer()
        del (event["data"]["services"][0] if missing == "service_id" else event["data"])[missing]
        sent = await trial.city.send(event, is_listed=False)
        await trial.expect_parked(sent.body, f"an offer without {missing}")
        await trial.expect_unanswered(event, f"it lacks {missing}")
    await trial.expect_answered(await trial.send_offer())


@case("Invalid values are parked: a deadline that is not a time, an urgency that does not exist.")
async def invalid_value_is_parked(trial: Trial) -> None:
    for field, wrong in (
        ("answer_by", "tomorrow"), ("urgency", "at_once"), ("referral_id", "R-12345"), ("services", []),
    ):  # fmt: skip
        event = trial.city.events.create_offer()
        event["data"][field] = wrong
        sent = await trial.city.send(event, is_listed=False)
        await trial.expect_parked(sent.body, f"an offer whose {field} is {wrong}")
        await trial.expect_unanswered(event, f"its {field} is {wrong}")


@case("Bytes that are not an event are parked and reported, whether they are signed or not.")
async def not_json_is_parked(trial: Trial) -> None:
    for body in (b"{", b"", b"\xff\xfe\x00", b"[" * 80_000, b"null", b'"referral.offered.v1"'):
        await trial.city.publish(body)
        await trial.expect_parked(body, "unsigned bytes that are not an event", ParkReason.UNSIGNED)
    for body in (b"{ ", b"\xff\xfe\x01", b"[" * 90_000, b"[]", b'"referral.revoked.v1"', b'{"type":7}'):
        await trial.city.publish(body, sign(body, trial.city.rings["routing"]))
        await trial.expect_parked(body, "signed bytes that are not an event", ParkReason.MALFORMED)


@case("A huge number or a deep object does not stop the consumer, even when the city has signed it.")
async def signed_poison_stops_nothing(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    body, _ = trial.city.sign_event(event)
    for more in (b'"later":' + b"9" * 9_000, b'"later":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000):
        poison = body[:-1] + b"," + more + b"}"
        await trial.city.publish(poison, sign(poison, trial.city.rings["routing"]))
    await trial.expect_answered(await trial.send_offer())


@case("A duplicate key in a signed event does not lead to a second answer.")
async def duplicate_key_gets_no_second_answer(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    body, _ = trial.city.sign_event(event)
    duplicated = body[:-1] + b',"type":"referral.offered.v1"}'
    await trial.city.publish(duplicated, sign(duplicated, trial.city.rings["routing"]))
    await trial.wait_until_drained()
    await trial.wait_until_quiet()
    kinds = [kind for kind in trial.city.reply_log.kinds_of_replies_to(event) if kind in ("accepted", "declined")]
    expect(len(kinds) <= 1, f"an offer with a duplicate key was answered with {', '.join(kinds)}")
    await trial.expect_answered(await trial.send_offer())


@case("A message larger than the contract allows is parked.")
async def oversized_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    event["data"]["added_later"] = "x" * 300_000
    sent = await trial.city.send(event, is_listed=False)
    await trial.expect_parked(sent.body, "a message of 300 kB")
    await trial.expect_unanswered(event, "it is larger than the contract allows")


@case("Poison messages do not stop the consumer.")
async def poison_stops_nothing(trial: Trial) -> None:
    offers = []
    for number in range(20):
        if number % 4 == 0:
            await trial.city.publish(b"poison %d" % number)
        offers.append(await trial.send_offer(number % 5 + 1))
    await trial.expect_answered(*offers, timeout=20)
    expect(trial.is_running, "the consumer ended")


@case("An offer whose facts are sealed to another agency is parked and reported, and not accepted.")
async def sealed_to_another_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    event["data"]["sealed"]["facts"] = trial.city.events.seal_facts(event, {}, NEIGHBOUR)
    sent = await trial.city.send(event, is_listed=False)
    await trial.expect_parked(sent.body, "facts sealed to another agency")
    await trial.wait_until_quiet()
    expect(
        "accepted" not in trial.city.reply_log.kinds_of_replies_to(event),
        "an offer whose facts could not be read was accepted",
    )


@case("A section copied from another event does not open, although it is sealed to this agency.")
async def moved_section_is_parked(trial: Trial) -> None:
    event, other = trial.city.events.create_offer(), trial.city.events.create_offer(4)
    event["data"]["sealed"] = other["data"]["sealed"]
    sent = await trial.city.send(event, is_listed=False)
    await trial.expect_parked(sent.body, "facts of another event")
    await trial.wait_until_quiet()
    expect(
        "accepted" not in trial.city.reply_log.kinds_of_replies_to(event),
        "an offer with the facts of another child was accepted",
    )


@case("An offer addressed to another agency is parked, even when a mistake in the city delivers it here.")
async def for_another_agency_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer(agency=NEIGHBOUR)
    body, signature = trial.city.sign_event(event)
    await trial.city.publish(body, signature)
    await trial.expect_parked(body, "an offer to another agency", ParkReason.FOR_ANOTHER_AGENCY)
    await trial.expect_unanswered(event, "it is addressed to another agency")


@case("A message that is parked and comes again is reported once.")
async def parked_is_reported_once(trial: Trial) -> None:
    body = b"the same nonsense"
    for _ in range(3):
        await trial.city.publish(body)
    await trial.expect_parked(body, "bytes that are not an event")
    await asyncio.sleep(0.2)
    await trial.wait_until_quiet()
    reports = trial.city.reply_log.data_of("reply.message.parked.v1")
    own = [one for one in reports if one["digest"] == sha256(body).hexdigest()]
    expect(len(own) == 1, f"the same message was reported {len(own)} times")

"""What cannot be used is neither lost nor in the way, and the city learns of it."""

import asyncio
from hashlib import sha256

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect
from simpul_agency.sandbox.city import NEIGHBOUR
from simpul_schema.vocabulary import ParkReason
from simpul_seal import sign


@case("A field that a later minor version adds is ignored.")
async def unknown_field_is_ignored(trial: Trial) -> None:
    offer = trial.city.offer()
    offer["data"]["added_later"] = {"deep": [1, True, None, "ya"]}
    await trial.city.send(offer)
    await trial.answered(offer)


@case("An unknown attribute of the envelope is ignored, and is part of what was signed.")
async def unknown_attribute_is_ignored(trial: Trial) -> None:
    offer = trial.city.offer() | {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    offer |= {"laterextension": 'é \u2028 \\ " \u0001'}
    await trial.city.send(offer)
    await trial.answered(offer)


@case("An event of a type that is not known yet is parked and reported: the city may believe that it arrived.")
async def unknown_type_is_parked(trial: Trial) -> None:
    event = trial.city.offer() | {"type": "referral.postponed.v1"}
    sent = await trial.city.send(event, is_counted=False)
    await trial.parked(sent.body, "a type that nobody knows")
    await trial.unanswered(event, "its type is unknown")
    await trial.answered(await trial.offered())


@case("Version 2 beside version 1: the one that is known is answered, the other parked.")
async def next_version_beside_this_one(trial: Trial) -> None:
    offer = trial.city.offer()
    after = trial.city.offer() | {"type": "referral.offered.v2"}
    sent = await trial.city.send(after, is_counted=False)
    await trial.city.send(offer)
    await trial.answered(offer)
    await trial.parked(sent.body, "a later version")


@case("An event against the contract is parked and reported, neither lost nor going round.")
async def invalid_payload_is_parked(trial: Trial) -> None:
    for spoil in ("answer_by", "service", "referral_id"):
        event = trial.city.offer()
        del event["data"][spoil]
        sent = await trial.city.send(event, is_counted=False)
        await trial.parked(sent.body, f"an offer without {spoil}")
        await trial.unanswered(event, f"it lacks {spoil}")
    await trial.answered(await trial.offered())


@case("Wrong values are parked too: a deadline that is no moment, a service that does not exist.")
async def invalid_value_is_parked(trial: Trial) -> None:
    for field, wrong in (("answer_by", "tomorrow"), ("service", "dental_care"), ("referral_id", "R-12345")):
        event = trial.city.offer()
        event["data"][field] = wrong
        sent = await trial.city.send(event, is_counted=False)
        await trial.parked(sent.body, f"an offer whose {field} is {wrong}")
        await trial.unanswered(event, f"its {field} is {wrong}")


@case("Bytes that are no event are parked and reported, be they signed or not.")
async def not_json_is_parked(trial: Trial) -> None:
    for body in (b"{", b"", b"\xff\xfe\x00", b"[" * 80_000, b"null", b'"referral.offered.v1"'):
        await trial.city.publish(body)
        await trial.parked(body, "unsigned bytes that are no event", ParkReason.UNSIGNED)
    for body in (b"{ ", b"\xff\xfe\x01", b"[" * 90_000, b"[]", b'"referral.revoked.v1"', b'{"type":7}'):
        await trial.city.publish(body, sign(body, trial.city.rings["routing"]))
        await trial.parked(body, "signed bytes that are no event", ParkReason.MALFORMED)


@case("A number too large and an object too deep stop nothing, even where the city has signed them.")
async def signed_poison_stops_nothing(trial: Trial) -> None:
    event = trial.city.offer()
    body, _ = trial.city.signed(event)
    for more in (b'"later":' + b"9" * 9_000, b'"later":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000):
        poison = body[:-1] + b"," + more + b"}"
        await trial.city.publish(poison, sign(poison, trial.city.rings["routing"]))
    await trial.answered(await trial.offered())


@case("A key that stands twice in what the city has signed makes no second answer.")
async def doubled_key_is_answered_once_at_most(trial: Trial) -> None:
    event = trial.city.offer()
    body, _ = trial.city.signed(event)
    doubled = body[:-1] + b',"type":"referral.offered.v1"}'
    await trial.city.publish(doubled, sign(doubled, trial.city.rings["routing"]))
    await trial.drained()
    await trial.quiet()
    words = [word for word in trial.city.words_to(event) if word in ("accepted", "declined")]
    expect(len(words) <= 1, f"an offer with a doubled key was answered with {', '.join(words)}")
    await trial.answered(await trial.offered())


@case("A message larger than the contract allows is parked unread.")
async def oversized_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    event["data"]["added_later"] = "x" * 300_000
    sent = await trial.city.send(event, is_counted=False)
    await trial.parked(sent.body, "a message of 300 kB")
    await trial.unanswered(event, "it is larger than the contract allows")


@case("One poison message stops nothing else.")
async def poison_stops_nothing(trial: Trial) -> None:
    offers = []
    for number in range(20):
        if number % 4 == 0:
            await trial.city.publish(b"poison %d" % number)
        offers.append(await trial.offered(number % 5 + 1))
    await trial.answered(*offers, within=20)
    expect(trial.is_running, "the consumer ended")


@case("A section sealed to another agency cannot be opened: the offer is parked and reported, never taken unread.")
async def sealed_to_another_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    event["data"]["sealed"]["facts"] = trial.city.sealed(event, {}, NEIGHBOUR)
    sent = await trial.city.send(event, is_counted=False)
    await trial.parked(sent.body, "facts sealed to another agency")
    await trial.quiet()
    expect("accepted" not in trial.city.words_to(event), "an offer whose facts could not be read was accepted")


@case("A section moved here from another event does not open, although it is sealed to this agency.")
async def moved_section_is_parked(trial: Trial) -> None:
    event, other = trial.city.offer(), trial.city.offer(4)
    event["data"]["sealed"] = other["data"]["sealed"]
    sent = await trial.city.send(event, is_counted=False)
    await trial.parked(sent.body, "facts of another event")
    await trial.quiet()
    expect("accepted" not in trial.city.words_to(event), "an offer with the facts of another child was accepted")


@case("What is addressed to another agency is not answered, even when a mistake in the city brings it here.")
async def for_another_agency_is_parked(trial: Trial) -> None:
    event = trial.city.offer(agency=NEIGHBOUR)
    body, signature = trial.city.signed(event)
    await trial.city.publish(body, signature)
    await trial.parked(body, "an offer to another agency", ParkReason.FOR_ANOTHER_AGENCY)
    await trial.unanswered(event, "it is addressed to another agency")


@case("What could not be used once does not become good by being sent again and again, and is reported once.")
async def parked_is_reported_once(trial: Trial) -> None:
    body = b"the same nonsense"
    for _ in range(3):
        await trial.city.publish(body)
    await trial.parked(body, "bytes that are no event")
    await asyncio.sleep(0.2)
    await trial.quiet()
    reports = trial.city.said("reply.message.parked.v1")
    of_this = [one for one in reports if one["digest"] == sha256(body).hexdigest()]
    expect(len(of_this) == 1, f"the same message was reported {len(of_this)} times")

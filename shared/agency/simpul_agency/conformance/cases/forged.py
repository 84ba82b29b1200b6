"""A consumer accepts only what the city's services signed, and parses nothing before it has verified the signature."""

import json
from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial
from simpul_agency.sandbox.city import NEIGHBOUR
from simpul_schema.vocabulary import ParkReason
from simpul_seal import sign


async def _expect_parked(
    trial: Trial, event: dict[str, Any], message: tuple[bytes, str], why: str, *reasons: ParkReason
) -> None:
    body, signature = message
    await trial.city.publish(body, signature)
    await trial.expect_parked(body, why, *reasons)
    await trial.expect_unanswered(event, why)


@case("An offer without a signature header is parked.")
async def unsigned_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    body, _ = trial.city.sign_event(event)
    await _expect_parked(trial, event, (body, ""), "it carries no signature", ParkReason.UNSIGNED)


@case("A signature inside the body does not count: it must be in the header, next to the bytes that it covers.")
async def signature_in_body_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    _, signature = trial.city.sign_event(event)
    body, _ = trial.city.sign_event(event | {"keyid": signature.split()[1], "signature": signature.split()[2]})
    await _expect_parked(trial, event, (body, ""), "its signature is in the body", ParkReason.UNSIGNED)


@case("An offer of which a single byte was altered after signing is parked, even a space between two fields.")
async def altered_is_parked(trial: Trial) -> None:
    for before, after in ((b'"urgency":"', b'"urgency": "'), (b'"role":"lead"', b'"role":"support"')):
        event = trial.city.events.create_offer()
        body, signature = trial.city.sign_event(event)
        altered = body.replace(before, after, 1)
        await _expect_parked(
            trial, event, (altered, signature), "it was altered after it was signed", ParkReason.FORGED
        )


@case("The signature of one offer is not valid for another.")
async def signature_of_another_body_is_parked(trial: Trial) -> None:
    event, other = trial.city.events.create_offer(), trial.city.events.create_offer(2)
    message = trial.city.sign_event(event)[0], trial.city.sign_event(other)[1]
    await _expect_parked(trial, event, message, "its signature was made for another offer", ParkReason.FORGED)


@case("An unknown signature scheme is parked, even when the rest of the header is right.")
async def unknown_scheme_is_parked(trial: Trial) -> None:
    for scheme in ("v2", "v1,v2", "V1"):
        event = trial.city.events.create_offer()
        body, signature = trial.city.sign_event(event)
        other = signature.replace("v1 ", f"{scheme} ", 1)
        await _expect_parked(trial, event, (body, other), f"its signature is of the scheme {scheme}", ParkReason.FORGED)


@case("A signature that routing made for another purpose is not valid for an event.")
async def signature_for_another_purpose_is_parked(trial: Trial) -> None:
    for domain in ("simpul-agreement-v1", "simpul-event-v2"):
        event = trial.city.events.create_offer()
        body, _ = trial.city.sign_event(event)
        other = sign(body, trial.city.rings["routing"], domain=domain)
        await _expect_parked(trial, event, (body, other), f"it was signed as {domain}", ParkReason.FORGED)


@case("Nothing is parsed before it is verified: deep, huge and malformed JSON is parked for its signature.")
async def unverified_is_not_parsed(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    body, signature = trial.city.sign_event(event)
    for poison in (
        b"[" * 100_000,
        b'{"type":"referral.offered.v1","sequence":' + b"9" * 100_000 + b"}",
        body[:-1] + b',"id":"' + event["id"].encode() + b'"}',
        b"\xff\xfe",
    ):
        why = "its signature was made for other bytes"
        await _expect_parked(trial, event, (poison, signature), why, ParkReason.FORGED)
    await trial.expect_answered(await trial.send_offer())


@case("An offer signed by another enrolled agency is parked.")
async def signed_by_another_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    message = trial.city.sign_event(event, by=NEIGHBOUR)
    await _expect_parked(trial, event, message, "another party signed it", ParkReason.FORGED)


@case("The source must be the party that signed: an event of intake signed with routing's key is parked.")
async def actor_mismatch_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer() | {"source": "/kediri/intake"}
    await _expect_parked(
        trial, event, trial.city.sign_event(event), "its source is not the party that signed it", ParkReason.FORGED
    )


@case("A party may publish only what the catalogue allows: an offer by intake is parked.")
async def unauthorized_publisher_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer() | {"source": "/kediri/intake"}
    message = trial.city.sign_event(event, by="intake")
    await _expect_parked(trial, event, message, "its sender may not publish offers", ParkReason.UNAUTHORIZED_PUBLISHER)


@case("An event signed with a key that was never enrolled is parked.")
async def unknown_key_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    message = trial.city.sign_event(event, by="stranger")
    await _expect_parked(trial, event, message, "its key was never enrolled", ParkReason.UNKNOWN_KEY)


@case("An event signed with an expired key is parked.")
async def outdated_key_is_parked(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    message = trial.city.sign_event(event, by="outdated")
    await _expect_parked(trial, event, message, "its key has expired", ParkReason.UNKNOWN_KEY)


@case("The signature covers the bytes, not a form of JSON: an event is answered however its JSON is written.")
async def any_signed_form_is_answered(trial: Trial) -> None:
    event = trial.city.events.create_offer()
    reversed_event = dict(reversed(list(event.items())))
    body = json.dumps(reversed_event, indent=3, ensure_ascii=True).replace("referral", "\\u0072eferral").encode()
    await trial.city.publish(body, sign(body, trial.city.rings["routing"]))
    await trial.expect_answered(event)

"""Nobody but the city's services speaks for the city, and nothing is read before it is known who has written it."""

import json
from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial
from simpul_agency.sandbox.city import NEIGHBOUR
from simpul_schema.vocabulary import ParkReason
from simpul_seal import sign


async def _is_parked(
    trial: Trial, event: dict[str, Any], message: tuple[bytes, str], why: str, *reasons: ParkReason
) -> None:
    body, signature = message
    await trial.city.publish(body, signature)
    await trial.parked(body, why, *reasons)
    await trial.unanswered(event, why)


@case("An offer without a signature beside it is not believed.")
async def unsigned_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    body, _ = trial.city.signed(event)
    await _is_parked(trial, event, (body, ""), "it carries no signature", ParkReason.UNSIGNED)


@case("A signature inside the body is none: it counts beside the bytes that it covers.")
async def signature_in_body_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    _, signature = trial.city.signed(event)
    body, _ = trial.city.signed(event | {"keyid": signature.split()[1], "signature": signature.split()[2]})
    await _is_parked(trial, event, (body, ""), "its signature stands in the body", ParkReason.UNSIGNED)


@case("One byte altered after the signing is enough not to believe an offer, be it a space between two fields.")
async def altered_is_parked(trial: Trial) -> None:
    for before, after in ((b'"urgency":"', b'"urgency": "'), (b'"role":"lead"', b'"role":"support"')):
        event = trial.city.offer()
        body, signature = trial.city.signed(event)
        altered = body.replace(before, after, 1)
        await _is_parked(trial, event, (altered, signature), "it was altered after it was signed", ParkReason.FORGED)


@case("The signature of one offer does not vouch for another.")
async def signature_of_another_body_is_parked(trial: Trial) -> None:
    event, other = trial.city.offer(), trial.city.offer(2)
    message = trial.city.signed(event)[0], trial.city.signed(other)[1]
    await _is_parked(trial, event, message, "its signature was made for another offer", ParkReason.FORGED)


@case("A scheme that is not known yet is not believed, even where the rest of the header is right.")
async def unknown_scheme_is_parked(trial: Trial) -> None:
    for scheme in ("v2", "v1,v2", "V1"):
        event = trial.city.offer()
        body, signature = trial.city.signed(event)
        other = signature.replace("v1 ", f"{scheme} ", 1)
        await _is_parked(trial, event, (body, other), f"its signature is of the scheme {scheme}", ParkReason.FORGED)


@case("A signature that routing made for another purpose, or over the bare body, vouches for no event.")
async def signature_for_another_purpose_is_parked(trial: Trial) -> None:
    for domain in ("simpul-agreement-v1", "simpul-event-v2"):
        event = trial.city.offer()
        body, _ = trial.city.signed(event)
        other = sign(body, trial.city.rings["routing"], domain=domain)
        await _is_parked(trial, event, (body, other), f"it was signed as {domain}", ParkReason.FORGED)


@case("What is not signed is not read: deep, huge and doubled JSON of a stranger is refused for its signature.")
async def unverified_is_not_parsed(trial: Trial) -> None:
    event = trial.city.offer()
    body, signature = trial.city.signed(event)
    for poison in (
        b"[" * 100_000,
        b'{"type":"referral.offered.v1","sequence":' + b"9" * 100_000 + b"}",
        body[:-1] + b',"id":"' + event["id"].encode() + b'"}',
        b"\xff\xfe",
    ):
        why = "its signature was made for other bytes"
        await _is_parked(trial, event, (poison, signature), why, ParkReason.FORGED)
    await trial.answered(await trial.offered())


@case("An offer signed by another agency is not the city's, although that agency is enrolled.")
async def signed_by_another_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    message = trial.city.signed(event, by=NEIGHBOUR)
    await _is_parked(trial, event, message, "another party signed it", ParkReason.FORGED)


@case("The source must be who signed: routing's key does not speak for intake.")
async def actor_mismatch_is_parked(trial: Trial) -> None:
    event = trial.city.offer() | {"source": "/kediri/intake"}
    await _is_parked(trial, event, trial.city.signed(event), "its source is not who signed it", ParkReason.FORGED)


@case("Each party publishes only what the catalogue lets it publish: intake offers nothing.")
async def unauthorized_publisher_is_parked(trial: Trial) -> None:
    event = trial.city.offer() | {"source": "/kediri/intake"}
    message = trial.city.signed(event, by="intake")
    await _is_parked(trial, event, message, "its sender may not say this", ParkReason.UNAUTHORIZED_PUBLISHER)


@case("A key that nobody enrolled is not believed, whatever name it bears.")
async def unknown_key_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    message = trial.city.signed(event, by="stranger")
    await _is_parked(trial, event, message, "its key was never enrolled", ParkReason.UNKNOWN_KEY)


@case("A key past its time is not believed.")
async def outdated_key_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    message = trial.city.signed(event, by="outdated")
    await _is_parked(trial, event, message, "its key has run out", ParkReason.UNKNOWN_KEY)


@case("The signed bytes count, not their form: however the city writes its JSON, the same event is answered.")
async def any_signed_form_is_answered(trial: Trial) -> None:
    event = trial.city.offer()
    backwards = dict(reversed(list(event.items())))
    body = json.dumps(backwards, indent=3, ensure_ascii=True).replace("referral", "\\u0072eferral").encode()
    await trial.city.publish(body, sign(body, trial.city.rings["routing"]))
    await trial.answered(event)

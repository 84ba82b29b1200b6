"""Nobody but the city's services speaks for the city, whatever the broker lets through."""

import json
from typing import Any

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial
from simpul_agency.sandbox.city import NEIGHBOUR
from simpul_seal import sign


async def _is_parked(trial: Trial, event: dict[str, Any], body: bytes, why: str) -> None:
    await trial.city.publish(body)
    await trial.parked(body, why)
    await trial.unanswered(event, why)


@case("An offer without a signature is not believed.")
async def unsigned_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    await _is_parked(trial, event, json.dumps(event).encode(), "it carries no signature")


@case("An offer altered after it was signed is not believed.")
async def altered_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    signed = json.loads(sign(event, trial.city.rings["routing"]))
    signed["data"]["urgency"] = "low" if event["data"]["urgency"] != "low" else "high"
    await _is_parked(trial, event, json.dumps(signed).encode(), "it was altered after it was signed")


@case("An offer signed by another agency is not the city's, although that agency is enrolled.")
async def signed_by_another_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    await _is_parked(trial, event, sign(event, trial.city.rings[NEIGHBOUR]), "another party signed it")


@case("The source must be who signed: routing's key does not speak for intake.")
async def actor_mismatch_is_parked(trial: Trial) -> None:
    event = trial.city.offer() | {"source": "/kediri/intake"}
    await _is_parked(trial, event, sign(event, trial.city.rings["routing"]), "its source is not who signed it")


@case("Each party says only what the catalogue lets it say: intake offers nothing.")
async def not_its_to_say_is_parked(trial: Trial) -> None:
    event = trial.city.offer() | {"source": "/kediri/intake"}
    await _is_parked(trial, event, sign(event, trial.city.rings["intake"]), "its sender may not say this")


@case("A key that nobody enrolled is not believed, whatever name it bears.")
async def unknown_key_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    await _is_parked(trial, event, sign(event, trial.city.rings["stranger"]), "its key was never enrolled")


@case("A key past its time is not believed.")
async def outdated_key_is_parked(trial: Trial) -> None:
    event = trial.city.offer()
    await _is_parked(trial, event, sign(event, trial.city.rings["outdated"]), "its key has run out")


@case("The signature counts, not the order or spacing of the JSON: any form of the same event is believed.")
async def other_spelling_is_answered(trial: Trial) -> None:
    event = trial.city.offer()
    signed = json.loads(sign(event, trial.city.rings["routing"]))
    backwards = dict(reversed(list(signed.items())))
    await trial.city.publish(json.dumps(backwards, indent=3, ensure_ascii=True).encode())
    await trial.answered(event)

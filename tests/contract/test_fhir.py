"""A referral is exported as a valid FHIR R4 bundle with a service request and a task for each of its services."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydantic import BaseModel

from simpul_schema.fhir import STATUS, ExportedService, as_bundle
from simpul_schema.messages import ReferralAmendedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import samples
from simpul_schema.vocabulary import Urgency

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
LETTER = ReferralAmendedV1.model_validate_json(next(b for name, _, b in samples() if name == "referral.amended.v1"))
TASK_STATUS = {
    "draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed",
    "completed", "entered-in-error",
}  # fmt: skip
"""Codes of R4; the list of the library is incomplete."""


def services(*states: str, **changes: Any) -> list[ExportedService]:
    """The services of the referral in these states, from the first on."""
    requested = [one.model_copy(update=changes) for one in LETTER.data.services]
    return [ExportedService(one, LETTER.time, state) for one, state in zip(requested, states, strict=False)]


def resources(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in document["entry"]]
    return [one for one in found if one["resourceType"] == kind]


def codes_of(model: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Yields every coded element of a resource with the codes that FHIR allows; the library does not check them."""
    if isinstance(model, list):
        for item in model:
            yield from codes_of(item)
    if not isinstance(model, BaseModel):
        return
    for name, field in type(model).model_fields.items():
        value = getattr(model, name, None)
        extra = field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, Mapping) else None
        if isinstance(allowed, list) and isinstance(value, str):
            yield f"{type(model).__name__}.{name}", value, [str(code) for code in allowed]
        yield from codes_of(value)


@pytest.mark.parametrize("wire_name", STATUS)
@pytest.mark.parametrize("urgency", list(Urgency))
def test_a_referral_is_a_valid_bundle_in_every_state(wire_name: str, urgency: Urgency) -> None:
    document = as_bundle(LETTER, services(wire_name, "referral.offered.v1", urgency=urgency), None, NOW)

    bundle = Bundle.model_validate_json(json.dumps(document))

    assert json.loads(bundle.model_dump_json()) == document
    for where, code, allowed in codes_of(bundle):
        assert code in (TASK_STATUS if where == "Task.status" else allowed), where
    assert any(where == "ServiceRequest.status" for where, _, _ in codes_of(bundle))
    urls = [entry["fullUrl"] for entry in document["entry"]]
    references = re.findall(r'"reference": "([^"]+)"', json.dumps(document))
    assert len(set(urls)) == len(urls)
    assert set(references) < set(urls)


def test_each_service_has_a_request_and_its_task_and_the_referral_is_their_group() -> None:
    states = ("referral.completed.v1", "reply.referral.scheduled.v1", "referral.rerouted.v1")

    document = as_bundle(LETTER, services(*states), None, NOW)

    tasks, requests = resources(document, "Task"), resources(document, "ServiceRequest")
    requested = LETTER.data.services
    assert [one["code"]["coding"][0]["code"] for one in requests] == [one.service.value for one in requested]
    assert [task["status"] for task in tasks] == ["completed", "in-progress", "rejected"]
    assert [request["status"] for request in requests] == ["completed", "active", "revoked"]
    assert [one["identifier"][0]["value"] for one in requests] == [f"urn:uuid:{one.service_id}" for one in requested]
    urls = {entry["fullUrl"]: entry["resource"] for entry in document["entry"]}
    assert [urls[task["focus"]["reference"]] for task in tasks] == requests
    groups = [one["requisition"] for one in requests] + [one["groupIdentifier"] for one in tasks]
    assert {group["value"] for group in groups} == {f"urn:uuid:{LETTER.data.referral_id}"}
    assert len(resources(document, "Patient")) == 1


def test_the_export_has_the_newest_state_in_bser_codes_and_no_name() -> None:
    facts = dict.fromkeys(ReferralFacts.model_fields, "unknown") | {
        "violence": ["physical"],
        "implied_violence": [],
        "sex": "female",
        "kecamatan": "Mojoroto",
        "happened_at": "",
        "place": "other",
        "mediation_locked": True,
    }

    document = as_bundle(
        LETTER, services("reply.referral.scheduled.v1", urgency=Urgency.LOW), ReferralFacts.model_validate(facts), NOW
    )

    [task], [patient] = resources(document, "Task"), resources(document, "Patient")
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("in-progress", "5.1.1")
    assert patient["gender"] == "female"
    assert "Mojoroto" not in json.dumps(document)
    assert task["priority"] == "routine"
    overdue = as_bundle(LETTER, services("referral.overdue.v1"), None, NOW)
    assert overdue["entry"][0]["resource"]["status"] == "requested"
    # An import twice changes nothing.
    assert [one["fullUrl"] for one in overdue["entry"]] == [one["fullUrl"] for one in document["entry"]]

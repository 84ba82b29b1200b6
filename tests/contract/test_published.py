"""What is published for engineers elsewhere: CloudEvents, FHIR, fixtures and the catalogue page."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_structured_event
from fhir.resources.R4B.bundle import Bundle
from pydantic import BaseModel, ValidationError

from simpul_cli import catalogue, contract
from simpul_schema import MESSAGES, fixtures, message_class
from simpul_schema.catalog import CATALOG
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.fhir import STATUS, as_bundle
from simpul_schema.messages import ReferralOfferedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import samples, signatures
from simpul_schema.story import STORY
from simpul_schema.vocabulary import ParkReason, Urgency
from simpul_seal import Directory, PublicKeys, Rejection, VerifiedEvent, verify_event

SAMPLES = list(samples())
NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
OFFER = ReferralOfferedV1.model_validate_json(next(b for name, _, b in SAMPLES if name == "referral.offered.v1"))
TASK_STATUS = {
    "draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed",
    "completed", "entered-in-error",
}  # fmt: skip
"""R4; the library cuts its own list short."""


@pytest.mark.parametrize(("wire_name", "body"), [(name, body) for name, _, body in SAMPLES])
def test_every_event_is_read_by_the_cloudevents_sdk(wire_name: str, body: bytes) -> None:
    message = RabbitMQMessage(headers={}, content_type=CONTENT_TYPE, body=body)

    event = from_structured_event(message)

    known = json.loads(body)
    assert (event.get_type(), event.get_id(), event.get_source()) == (wire_name, known["id"], known["source"])
    assert event.get_data() == known["data"]
    assert event.get_extension("sequence") == known["sequence"]


def test_there_is_a_valid_and_an_invalid_fixture_of_every_event_type() -> None:
    found = fixtures.events()

    assert set(found) == {message.WIRE_NAME for message in MESSAGES}
    for wire_name, entry in found.items():
        message, schema = message_class(wire_name), contract.published_schemas()[wire_name]
        assert message is not None
        message.model_validate_json(entry["valid"]["body"])
        jsonschema.validate(json.loads(entry["valid"]["body"]), schema)
        assert isinstance(believed(entry["valid"]), VerifiedEvent)
        assert len(entry["invalid"]) >= 4
        for wrong in entry["invalid"]:
            assert wrong["why"]
            with pytest.raises(ValidationError):
                message.model_validate_json(wrong["body"])
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(json.loads(wrong["body"]), schema)
            refused = believed(wrong)
            assert isinstance(refused, Rejection)
            assert refused.reason in (ParkReason.INVALID, ParkReason.UNKNOWN_TYPE)


def believed(message: dict[str, str]) -> VerifiedEvent | Rejection:
    directory = Directory([PublicKeys.read(key) for key in fixtures.directory()["keys"]])
    return verify_event(message["body"].encode(), message["signature"], directory, NOW)


def test_the_samples_are_signed_by_their_source_as_they_stand_in_their_files() -> None:
    directory = Directory([PublicKeys.read(key) for key in fixtures.directory()["keys"]])

    for wire_name, file_name, body in SAMPLES:
        outcome = verify_event(body, signatures()[file_name], directory, NOW)
        assert isinstance(outcome, VerifiedEvent), outcome
        assert (outcome.event.type, outcome.body) == (wire_name, body)


def test_the_verification_fixtures_are_decided_as_they_say() -> None:
    directory = Directory([PublicKeys.read(key) for key in fixtures.directory()["keys"]])

    for entry in fixtures.verification():
        outcome = verify_event(b64decode(entry["body_base64"]), entry["signature"], directory, NOW)
        reason = outcome.reason.value if isinstance(outcome, Rejection) else None
        assert reason == entry["reason"], entry["case"]
    assert {entry["reason"] for entry in fixtures.verification()} >= {
        None, "unsigned", "forged", "unknown_key", "malformed", "unauthorized_publisher",
    }  # fmt: skip


def test_there_is_a_fixture_of_every_transition_valid_and_invalid() -> None:
    found = fixtures.transitions()

    pairs = {(entry["state"], entry["reply"]) for entry in found}
    states, replies = {state for state, _ in pairs}, {reply for _, reply in pairs}
    assert len(pairs) == len(found) == len(states) * len(replies) == 13 * 8
    assert {reply for reply in replies if any(e["reply"] == reply and "becomes" in e for e in found)} == replies
    assert {state for state in states if any(e["state"] == state and "becomes" not in e for e in found)} == states
    assert found == catalogue.transition_fixtures()


def _codes(model: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Every coded element of a resource with the codes that FHIR allows; the library itself does not look."""
    if isinstance(model, list):
        for item in model:
            yield from _codes(item)
    if not isinstance(model, BaseModel):
        return
    for name, field in type(model).model_fields.items():
        value = getattr(model, name, None)
        extra = field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, Mapping) else None
        if isinstance(allowed, list) and isinstance(value, str):
            yield f"{type(model).__name__}.{name}", value, [str(code) for code in allowed]
        yield from _codes(value)


@pytest.mark.parametrize("said", STATUS)
@pytest.mark.parametrize("urgency", list(Urgency))
def test_a_referral_is_a_valid_fhir_bundle_in_every_state(said: str, urgency: Urgency) -> None:
    document = as_bundle(OFFER, said, None, NOW, urgency=urgency, answer_by=NOW)

    bundle = Bundle.model_validate_json(json.dumps(document))

    assert json.loads(bundle.model_dump_json()) == document
    for where, code, allowed in _codes(bundle):
        assert code in (TASK_STATUS if where == "Task.status" else allowed), where
    assert any(where == "ServiceRequest.status" for where, _, _ in _codes(bundle))
    urls = [entry["fullUrl"] for entry in document["entry"]]
    references = re.findall(r'"reference": "([^"]+)"', json.dumps(document))
    assert len(set(urls)) == len(urls)
    assert set(references) < set(urls)


def test_the_fhir_export_tells_the_newest_state_in_bsers_words_and_nobodys_name() -> None:
    facts = dict.fromkeys(ReferralFacts.model_fields, "unknown") | {
        "violence": ["physical"], "implied_violence": [], "sex": "female", "kecamatan": "Mojoroto",
        "mediation_locked": True,
    }  # fmt: skip

    document = as_bundle(
        OFFER, "reply.referral.scheduled.v1", ReferralFacts.model_validate(facts), NOW, urgency=Urgency.LOW,
        answer_by=NOW,
    )  # fmt: skip

    task, request, patient = (entry["resource"] for entry in document["entry"][:3])
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("in-progress", "5.1.1")
    assert request["code"]["coding"][0]["code"] == OFFER.data.service.value
    assert patient["gender"] == "female"
    assert "Mojoroto" not in json.dumps(document)
    assert task["priority"] == "routine"
    overdue = as_bundle(OFFER, "referral.overdue.v1", None, NOW, urgency=Urgency.HIGH, answer_by=NOW)
    assert overdue["entry"][0]["resource"]["status"] == "requested"
    assert overdue["entry"][0]["fullUrl"] == document["entry"][0]["fullUrl"]


def test_the_story_is_told_in_messages_of_the_catalogue() -> None:
    told = {wire_name for _, wire_name, _ in STORY}

    assert told <= {row.wire_name for row in CATALOG}
    assert len(told) >= 15


def test_the_catalogue_page_has_a_card_for_each_message_and_needs_nothing_from_outside() -> None:
    page = (contract.PACKAGE / "catalogue.html").read_text()

    for row in CATALOG:
        assert f'<article id="{row.wire_name}">' in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "<script" not in page
    assert "@import" not in page

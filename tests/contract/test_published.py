"""What is published for engineers of agencies: CloudEvents, sealed sections, FHIR, fixtures and the catalogue page."""

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import jsonschema
import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_structured_event
from pydantic import ValidationError

from simpul_cli import catalogue, contract
from simpul_schema import MESSAGES, SectionContent, fixtures, message_class
from simpul_schema.catalog import CATALOG
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.json_schemas import section_key
from simpul_schema.messages import SECTIONS
from simpul_schema.samples import samples, section_sample, signatures
from simpul_schema.story import STORY
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, KeyRing, PublicKeys, Rejection, VerifiedEvent, open_section, verify_event

SAMPLES = list(samples())
NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(("wire_name", "body"), [(name, body) for name, _, body in SAMPLES])
def test_every_event_is_read_by_the_cloudevents_sdk(wire_name: str, body: bytes) -> None:
    message = RabbitMQMessage(headers={}, content_type=CONTENT_TYPE, body=body)

    event = from_structured_event(message)

    known = json.loads(body)
    assert (event.get_type(), event.get_id(), event.get_source()) == (wire_name, known["id"], known["source"])
    assert event.get_data() == known["data"]
    assert event.get_extension("sequence") == known["sequence"]


def test_there_is_a_valid_and_an_invalid_fixture_of_every_event_type() -> None:
    found, schemas = fixtures.events(), contract.published_schemas()

    assert set(found) == {message.WIRE_NAME for message in MESSAGES}
    for wire_name, entry in found.items():
        message, schema = message_class(wire_name), schemas[wire_name]
        validator = jsonschema.validators.validator_for(schema)(schema)
        validator.check_schema(schema)
        assert message is not None
        message.model_validate_json(entry["valid"]["body"])
        validator.validate(json.loads(entry["valid"]["body"]))
        assert isinstance(verify_fixture(entry["valid"]), VerifiedEvent)
        assert len(entry["invalid"]) >= 4
        for wrong in entry["invalid"]:
            assert wrong["why"]
            with pytest.raises(ValidationError):
                message.model_validate_json(wrong["body"])
            with pytest.raises(jsonschema.ValidationError):
                validator.validate(json.loads(wrong["body"]))
            refused = verify_fixture(wrong)
            assert isinstance(refused, Rejection)
            assert refused.reason in (ParkReason.INVALID, ParkReason.UNKNOWN_TYPE)


@pytest.mark.parametrize("section", SECTIONS, ids=[section.SECTION for section in SECTIONS])
def test_every_sealed_section_has_a_schema_a_sample_and_fixtures(section: type[SectionContent]) -> None:
    schema = contract.published_schemas()[section_key(section.SECTION)]
    sample = json.loads(section_sample(section.SECTION))
    entry = fixtures.sections()[section.SECTION]

    assert json.loads(section.model_validate(sample).model_dump_json()) == sample == entry["valid"]
    jsonschema.validate(sample, schema)
    assert schema["description"]
    assert all("description" in field for field in schema["properties"].values())
    assert entry["invalid"]
    for wrong in entry["invalid"]:
        assert wrong["why"]
        with pytest.raises(ValidationError):
            section.read(wrong["content"])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong["content"], schema)


def test_the_sealed_sections_of_the_samples_open_with_the_published_test_keys(tmp_path: Path) -> None:
    rings = {}
    for key in fixtures.private_keys()["keys"]:
        path = tmp_path / key["party"]
        path.write_text(json.dumps(key))
        rings[key["party"]] = KeyRing.read(path)
    opened = set()
    for wire_name, _, body in SAMPLES:
        event = json.loads(body)
        for name, sealed in event["data"]["sealed"].items():
            content = open_section(
                sealed["ciphertext"],
                rings[sealed["recipient"]],
                event_id=UUID(event["id"]),
                case_id=UUID(event["correlationid"]),
                section=name,
            )
            opened.add((wire_name, name))
            assert json.loads(content) == json.loads(section_sample(name))

    assert opened == {(message.WIRE_NAME, section.SECTION) for message in MESSAGES for section in message.SECTIONS}


def verify_fixture(message: dict[str, str]) -> VerifiedEvent | Rejection:
    directory = Directory([PublicKeys.from_json(key) for key in fixtures.directory()["keys"]])
    return verify_event(message["body"].encode(), message["signature"], directory, NOW)


def test_the_samples_are_signed_by_their_source() -> None:
    directory = Directory([PublicKeys.from_json(key) for key in fixtures.directory()["keys"]])

    for wire_name, file_name, body in SAMPLES:
        outcome = verify_event(body, signatures()[file_name], directory, NOW)
        assert isinstance(outcome, VerifiedEvent), outcome
        assert (outcome.event.type, outcome.body) == (wire_name, body)


def test_the_verification_fixtures_have_the_outcome_that_they_name() -> None:
    directory = Directory([PublicKeys.from_json(key) for key in fixtures.directory()["keys"]])

    for entry in fixtures.verification():
        outcome = verify_event(b64decode(entry["body_base64"]), entry["signature"], directory, NOW)
        reason = outcome.reason.value if isinstance(outcome, Rejection) else None
        assert reason == entry["reason"], entry["case"]
    assert {entry["reason"] for entry in fixtures.verification()} >= {
        None,
        "unsigned",
        "forged",
        "unknown_key",
        "malformed",
        "unauthorized_publisher",
    }


def test_there_is_a_fixture_of_every_transition_valid_and_invalid() -> None:
    found = fixtures.transitions()

    pairs = {(entry["state"], entry["reply"]) for entry in found}
    states, replies = {state for state, _ in pairs}, {reply for _, reply in pairs}
    assert len(pairs) == len(found) == len(states) * len(replies) == 13 * 8
    assert {reply for reply in replies if any(e["reply"] == reply and "becomes" in e for e in found)} == replies
    assert {state for state in states if any(e["state"] == state and "becomes" not in e for e in found)} == states
    assert found == catalogue.transition_fixtures()


def test_the_story_uses_messages_of_the_catalogue() -> None:
    used = {wire_name for _, wire_name, _ in STORY}

    assert used <= {row.wire_name for row in CATALOG}
    assert len(used) >= 15


def test_the_catalogue_page_has_a_card_for_each_message_and_needs_nothing_from_outside() -> None:
    page = (contract.PACKAGE / "catalogue.html").read_text()

    for row in CATALOG:
        assert f'<article id="{row.wire_name}">' in page
    for section in SECTIONS:
        assert f'<article id="section-{section.SECTION}">' in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "<script" not in page
    assert "@import" not in page

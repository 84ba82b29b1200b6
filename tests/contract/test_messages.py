"""Class, catalogue row, sample and published schema of every event agree."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from simpul_cli import contract
from simpul_schema import MESSAGES, message_class
from simpul_schema.catalog import CATALOG, as_markdown, may_publish
from simpul_schema.envelope import wire_json
from simpul_schema.json_schemas import current_schemas
from simpul_schema.messages import ReplyReferralScheduledV1
from simpul_schema.names import EVENTS, REFERRALS, REPLIES, inbox_bindings, routing_key
from simpul_schema.samples import samples

SAMPLES = list(samples())
_published, _current = cache(contract.published_schemas), cache(current_schemas)
EVENT_PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_every_message_has_a_catalogue_row_and_a_sample() -> None:
    names = {message.WIRE_NAME for message in MESSAGES}

    assert {row.wire_name for row in CATALOG} == names
    assert {wire_name for wire_name, _, _ in SAMPLES} == names


@pytest.mark.parametrize(("wire_name", "file_name", "body"), SAMPLES, ids=[file for _, file, _ in SAMPLES])
def test_sample_is_read_and_written_back_unchanged(wire_name: str, file_name: str, body: bytes) -> None:
    message = message_class(wire_name)
    assert message is not None, file_name

    event = message.model_validate_json(body)

    assert json.loads(body) == wire_json(event)


@pytest.mark.parametrize(("wire_name", "file_name", "body"), SAMPLES, ids=[file for _, file, _ in SAMPLES])
def test_sample_fits_the_published_schema(wire_name: str, file_name: str, body: bytes) -> None:
    jsonschema.validate(json.loads(body), _published()[wire_name])


@pytest.mark.parametrize(("wire_name", "file_name", "body"), SAMPLES, ids=[file for _, file, _ in SAMPLES])
def test_consumer_ignores_a_field_it_does_not_know(wire_name: str, file_name: str, body: bytes) -> None:
    event = json.loads(body)
    event["data"]["added_later"] = "something"
    message = message_class(wire_name)
    assert message is not None, file_name

    assert not hasattr(message.model_validate(event), "added_later")


@pytest.mark.parametrize("message", MESSAGES, ids=[message.WIRE_NAME for message in MESSAGES])
def test_every_message_and_field_has_a_description(message: type) -> None:
    schema = _current()[message.WIRE_NAME]  # type: ignore[attr-defined]

    assert schema["description"]
    assert all("description" in field for field in schema["$defs"][_data(schema)]["properties"].values())


def _data(schema: dict[str, dict[str, dict[str, str]]]) -> str:
    return schema["properties"]["data"]["$ref"].rpartition("/")[2]


def test_the_published_schemas_and_the_event_table_match_the_classes() -> None:
    assert contract.stale(contract.published_schemas(), current_schemas()) == [], "run `make schema`"
    assert as_markdown() in EVENT_PAGE.read_text()


def _invalid_events(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the event with one mistake at a time: each attribute and field missing or of the wrong type."""
    optional = {"causationid", "traceparent", "specversion", "datacontenttype", "type"}
    for name in event.keys() - optional:
        yield f"{name} missing", {key: value for key, value in event.items() if key != name}
    for name in ("id", "time", "sequence", "subject", "source"):
        yield f"{name} wrong", event | {name: "not one"}
    for name in event["data"].keys() - {"sealed"}:
        wrong = 7 if isinstance(event["data"][name], str) else "not one"
        yield f"{name} of the wrong type", event | {"data": event["data"] | {name: wrong}}
    yield "data is a list", event | {"data": []}
    yield "another type", event | {"type": "something.else.v1"}


@pytest.mark.parametrize(("wire_name", "file_name", "body"), SAMPLES, ids=[file for _, file, _ in SAMPLES])
def test_every_event_with_a_mistake_in_it_is_refused_by_class_and_schema_alike(
    wire_name: str, file_name: str, body: bytes
) -> None:
    message, schema = message_class(wire_name), _published()[wire_name]
    assert message is not None, file_name
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())

    for mistake, event in _invalid_events(json.loads(body)):
        with pytest.raises(ValidationError):
            message.model_validate_json(json.dumps(event))
        # A format is advice to a schema, so what only breaks a format is the class's to refuse.
        assert not checker.is_valid(event) or mistake in ("id wrong", "time wrong"), mistake


@pytest.mark.parametrize(
    "moment", ["0001-01-01T09:00:00Z", "1999-12-31T09:00:00Z", "2029-01-01T09:00:00Z", "9999-12-31T09:00:00Z"]
)
def test_an_appointment_that_cannot_be_is_refused(moment: str) -> None:
    event = json.loads(next(body for wire_name, _, body in SAMPLES if wire_name == "reply.referral.scheduled.v1"))
    event["data"]["scheduled_for"] = moment

    with pytest.raises(ValidationError):
        ReplyReferralScheduledV1.model_validate(event)


def test_wrong_value_never_shows_in_the_error() -> None:
    body = json.loads(next(body for wire_name, _, body in SAMPLES if wire_name == "alert.sent.v1"))
    body["data"]["alert_id"] = "Wenthilora Paksibumi"
    message = message_class("alert.sent.v1")
    assert message is not None

    with pytest.raises(ValidationError) as refusal:
        message.model_validate(body)

    assert "Wenthilora" not in str(refusal.value)


def test_routing_key_addresses_the_agency() -> None:
    assert routing_key(EVENTS, "referral.offered.v1", "ylpa") == "referral.offered.v1"
    assert routing_key(REFERRALS, "referral.offered.v1", "ylpa") == "referral.ylpa.offered.v1"
    assert routing_key(REFERRALS, "referral.offered.v1", "ylpa", "legal_aid.low") == (
        "referral.ylpa.legal_aid.low.offered.v1"
    )
    assert routing_key(REFERRALS, "agency.manifest.v1", "ylpa") == "agency.ylpa.manifest.v1"
    assert routing_key(REPLIES, "reply.referral.delivered.v1", "ylpa") == "reply.ylpa.delivered.v1"
    assert routing_key(REPLIES, "reply.resend.requested.v1", "ylpa") == "reply.ylpa.resend.requested.v1"


def test_the_queue_of_an_agency_is_bound_to_whatever_is_addressed_to_it() -> None:
    prefixes = tuple(key.removesuffix("#") for key in inbox_bindings("ylpa"))

    assert all(
        routing_key(REFERRALS, row.wire_name, "ylpa").startswith(prefixes)
        for row in CATALOG
        if REFERRALS in row.exchanges
    )


def test_an_agency_may_only_reply() -> None:
    allowed = {row.wire_name for row in CATALOG if may_publish("ylpa", is_agency=True, wire_name=row.wire_name)}

    assert allowed == {message.WIRE_NAME for message in MESSAGES if message.WIRE_NAME.startswith("reply.")}
    assert not may_publish("routing", is_agency=True, wire_name="referral.offered.v1")

"""Breaking differences are found and name the consumers; safe ones pass."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from simpul_cli import contract
from simpul_schema.compatibility import Writer, breaking_changes
from simpul_schema.json_schemas import current_schemas
from simpul_schema.vocabulary import DeclineReason, Service

OFFERED = "referral.offered.v1"
DECLINED = "reply.referral.declined.v1"
FACTS = "sections/facts"


_schemas = cache(current_schemas)


def _changed(path: str, value: Any, key: str = OFFERED) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns a schema before and after one value is set (or deleted, with None)."""
    before = _schemas()[key]
    after = copy.deepcopy(before)
    *steps, last = path.split("/")
    parent = after
    for step in steps:
        parent = parent[step]
    if value is None:
        del parent[last]
    else:
        parent[last] = value
    return before, after


DATA, SERVICE = "$defs/ReferralOfferedData", "$defs/RequestedService"
FIELDS = ["referral_id", "case_id", "agency", "services", "urgency", "answer_by"]
OF_SERVICE = ["service_id", "service", "role", "urgency", "answer_by"]
MORE = {"type": "string", "description": "added later"}
SERVICES = [service.value for service in Service]
REASONS = [reason.value for reason in DeclineReason]

BREAKING: list[tuple[str, str, Any]] = [
    ("a field is removed", f"{DATA}/properties/answer_by", None),
    ("another field is removed", f"{DATA}/properties/urgency", None),
    ("a field of the envelope is removed", "properties/sequence", None),
    ("an optional field is removed", f"{DATA}/properties/agreement", None),
    ("an optional field of a service is removed", f"{SERVICE}/properties/rerouted_from", None),
    ("a list becomes one value", f"{DATA}/properties/services", {"$ref": "#/$defs/RequestedService"}),
    ("a list may be empty", f"{DATA}/properties/services/minItems", None),
    ("a field is renamed", f"{DATA}/properties", {"agency_code": {"type": "string"}}),
    ("a text becomes a number", f"{DATA}/properties/agency/type", "integer"),
    ("a number becomes a text", f"{SERVICE}/properties/reroute_count/type", "string"),
    ("a field that was always there may be missing", f"{DATA}/required", FIELDS[1:]),
    ("no field is required any more", f"{DATA}/required", []),
    ("the payload may be missing", "required", ["id", "source", "subject", "time", "sequence"]),
    ("a new field is demanded of producers", f"{DATA}/required", [*FIELDS, "more"]),
    ("an optional field is demanded", f"{DATA}/required", [*FIELDS, "agreement"]),
    ("an optional field of a service is demanded", f"{SERVICE}/required", [*OF_SERVICE, "reroute_count"]),
    ("a value is added to an enumeration", "$defs/Urgency/enum", ["high", "medium", "low", "extreme"]),
    ("a value is added to a closed enumeration", "$defs/ReferralRole/enum", ["lead", "support", "observer"]),
    (
        "a closed enumeration becomes extensible",
        "$defs/ReferralRole",
        {
            "type": "string",
            "x-extensible": True,
            "x-fallback": "lead",
            "x-values": ["lead", "support"],
        },
    ),
    ("another fallback", "$defs/Service/x-fallback", "outreach"),
    ("a sealed section is removed", "x-sections/facts", None),
    ("a sealed section gets another schema", "x-sections/facts", "sections/other"),
    ("an enumeration becomes any text", "$defs/ReferralRole/enum", None),
    ("a value is renamed", "$defs/ReferralRole/enum", ["lead", "helper"]),
    ("an enumeration changes its type", "$defs/Urgency/type", "integer"),
    ("the type changes its version", "properties/type/const", "referral.offered.v2"),
    ("the specification changes its version", "properties/specversion/const", "2.0"),
    ("a pattern is loosened", "properties/sequence/pattern", ".*"),
    ("a pattern is dropped", "properties/subject/pattern", None),
    ("a format changes", f"{DATA}/properties/answer_by/format", "date"),
    ("a format is dropped", f"{DATA}/properties/referral_id/format", None),
    ("a lower bound is dropped", f"{SERVICE}/properties/reroute_count/minimum", None),
    ("a lower bound is lowered", f"{SERVICE}/properties/reroute_count/minimum", -1),
    ("something else than text may be sent", "properties/causationid/anyOf", [{"type": "string"}, {"type": "integer"}]),
    (
        "null may be sent where it might not",
        f"{DATA}/properties/agency",
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    ("a sealed section loses its recipient", "$defs/SealedSection/properties/recipient", None),
    ("a sealed section may lack its key", "$defs/SealedSection/required", ["recipient", "ciphertext"]),
    ("sections become a list", f"{DATA}/properties/sealed/type", "array"),
    ("sections hold something else", f"{DATA}/properties/sealed/additionalProperties", {"type": "string"}),
    ("the payload is another class", "properties/data", {"$ref": "#/$defs/SealedSection"}),
]
SAFE: list[tuple[str, str, Any]] = [
    ("an optional field is added", f"{DATA}/properties/note", MORE),
    ("an optional field is added to the envelope", "properties/note", MORE),
    ("an optional field is added to a service", f"{SERVICE}/properties/note", MORE),
    ("an optional field is added to a section", "$defs/SealedSection/properties/note", MORE),
    ("another description", f"{DATA}/description", "another text"),
    ("another description of a field", f"{DATA}/properties/agency/description", "another text"),
    ("a service is added", "$defs/Service/x-values", [*SERVICES, "dental_care"]),
    ("a service is never sent any more", "$defs/Service/x-values", SERVICES[1:]),
    ("a pattern is added", f"{DATA}/properties/agency/pattern", "^[a-z-]+$"),
    ("a sealed section is added", "x-sections/more", "sections/more"),
    ("another title", f"{DATA}/title", "Offer"),
    ("another default", f"{SERVICE}/properties/reroute_count/default", 1),
    ("a value is never sent any more", "$defs/Urgency/enum", ["high", "medium"]),
    ("a length is bounded", "properties/sequence/maxLength", 10),
    ("a lower bound is raised", f"{SERVICE}/properties/reroute_count/minimum", 1),
    ("an upper bound is added", f"{SERVICE}/properties/reroute_count/maximum", 9),
    ("null is never sent any more", "properties/causationid/anyOf", [{"format": "uuid", "type": "string"}]),
    ("an example is added", f"{DATA}/properties/agency/examples", ["ylpa"]),
    ("a definition that nothing uses", "$defs/Unused", MORE),
]


REASON = "$defs/DeclineReason"
BREAKING_FOR_WRITERS: list[tuple[str, str, Any]] = [
    ("a reason is removed", f"{REASON}/x-values", REASONS[1:]),
    ("a reason is renamed", f"{REASON}/x-values", ["outside_its_mandate", *REASONS[1:]]),
    ("an extensible enumeration is closed", REASON, {"type": "string", "enum": REASONS}),
    ("another fallback", f"{REASON}/x-fallback", "no_capacity"),
    ("a field is removed", "$defs/DeclineData/properties/reason", None),
    ("a new field is demanded", "$defs/DeclineData/required", ["referral_id", "agency", "reason", "note"]),
    ("a text becomes a number", "$defs/DeclineData/properties/agency/type", "integer"),
    ("a pattern is added", "$defs/DeclineData/properties/agency/pattern", "^[a-z]+$"),
    ("a length is bounded", "$defs/DeclineData/properties/agency/maxLength", 10),
    ("null is no longer accepted", "properties/causationid/anyOf", [{"format": "uuid", "type": "string"}]),
]
"""Changes of a message that agencies write and the city reads."""
SAFE_FOR_WRITERS: list[tuple[str, str, Any]] = [
    ("a reason is added", f"{REASON}/x-values", [*REASONS, "strike"]),
    ("an optional field is added", "$defs/DeclineData/properties/note", MORE),
    ("a field may be missing", "$defs/DeclineData/required", ["referral_id", "reason"]),
    ("a pattern is dropped", "properties/subject/pattern", None),
    ("a length is no longer bounded", "properties/subject/maxLength", None),
    ("null is accepted", "$defs/DeclineData/properties/agency", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ("another description", "$defs/DeclineData/description", "another text"),
]
BREAKING_FOR_SECTIONS: list[tuple[str, str, Any]] = [
    ("a fact is removed", "properties/injured", None),
    ("a fact may be missing", "required", ["violence"]),
    ("a value is added to a closed enumeration", "$defs/Answer/enum", ["yes", "no", "unknown", "refused"]),
    ("a fact gets another type", "properties/kecamatan/type", "integer"),
]
SAFE_FOR_SECTIONS: list[tuple[str, str, Any]] = [
    ("an optional fact is added", "properties/note", MORE),
    ("a kind of violence is added", "$defs/Violence/x-values", ["physical", "sexual", "other", "financial"]),
    ("a kind of violence is never sent any more", "$defs/Violence/x-values", ["physical"]),
]


def _changes(labelled: list[tuple[str, str, Any]]) -> list[Any]:
    return [pytest.param(path, value, id=label) for label, path, value in labelled]


@pytest.mark.parametrize(("path", "value"), _changes(BREAKING_FOR_WRITERS))
def test_change_that_breaks_agencies_as_writers_is_found(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value, DECLINED), Writer.AGENCIES)


@pytest.mark.parametrize(("path", "value"), _changes(SAFE_FOR_WRITERS))
def test_change_that_agencies_as_writers_need_not_follow_passes(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value, DECLINED), Writer.AGENCIES) == []


@pytest.mark.parametrize(("path", "value"), _changes(BREAKING_FOR_SECTIONS))
def test_breaking_change_of_a_sealed_section_is_refused(path: str, value: Any) -> None:
    before, after = _changed(path, value, FACTS)

    found = contract.breaks({FACTS: before}, {FACTS: after})

    assert found
    assert all("breaks: agency" in problem for problem in found)


@pytest.mark.parametrize(("path", "value"), _changes(SAFE_FOR_SECTIONS))
def test_safe_change_of_a_sealed_section_passes(path: str, value: Any) -> None:
    before, after = _changed(path, value, FACTS)

    assert contract.breaks({FACTS: before}, {FACTS: after}) == []


def test_a_reason_may_be_added_where_agencies_write_it_and_not_removed() -> None:
    key, path = DECLINED, f"{REASON}/x-values"
    before, added = _changed(path, [*REASONS, "strike"], key)
    _, removed = _changed(path, REASONS[1:], key)

    assert contract.breaks({key: before}, {key: added}) == []
    [problem] = contract.breaks({key: before}, {key: removed})
    assert "agencies still send ['outside_mandate'] (breaks: agency)" in problem


@pytest.mark.parametrize(("path", "value"), [change[1:] for change in BREAKING], ids=[change[0] for change in BREAKING])
def test_breaking_change_is_found(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value))


@pytest.mark.parametrize(("path", "value"), [change[1:] for change in SAFE], ids=[change[0] for change in SAFE])
def test_safe_change_passes(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value)) == []


def test_the_gate_is_tried_on_enough_changes() -> None:
    assert len(BREAKING) + len(SAFE) >= 40


def test_breaking_change_names_the_consumers() -> None:
    before, after = _changed(f"{DATA}/properties/answer_by", None)

    found = contract.breaks({OFFERED: before}, {OFFERED: after})

    assert any("notify, desk, agency" in problem and "answer_by" in problem for problem in found)


def test_removed_message_breaks_every_consumer() -> None:
    assert contract.breaks({"case.closed.v1": {}}, {}) == [
        "case.closed.v1: removed (breaks: every consumer); publish a new version next to it"
    ]


def test_writing_refuses_a_breaking_difference(tmp_path: Path) -> None:
    published = tmp_path / f"{OFFERED}.json"
    published.write_text('{"properties": {"gone": {"type": "string"}}, "required": ["gone"]}')

    problems = contract.write(tmp_path)

    assert problems
    assert "gone" in published.read_text()

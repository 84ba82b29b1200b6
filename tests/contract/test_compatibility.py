"""Breaking differences are found and name the consumers; safe ones pass."""

import copy
from pathlib import Path
from typing import Any

import pytest

from simpul_cli import contract
from simpul_schema.compatibility import breaking_changes

OFFERED = "referral.offered.v1"


def _changed(path: str, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of an offer before and after one value is set (or deleted, with None)."""
    before = contract.current_schemas()[OFFERED]
    after = copy.deepcopy(before)
    *steps, last = path.split("/")
    place = after
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return before, after


DATA = "$defs/ReferralOfferedData"
FIELDS = ["referral_id", "case_id", "agency", "service", "role", "urgency", "answer_by"]
MORE = {"type": "string", "description": "added later"}

BREAKING: list[tuple[str, str, Any]] = [
    ("a field is removed", f"{DATA}/properties/answer_by", None),
    ("another field is removed", f"{DATA}/properties/urgency", None),
    ("a field of the envelope is removed", "properties/sequence", None),
    ("an optional field is removed", f"{DATA}/properties/rerouted_from", None),
    ("a field is renamed", f"{DATA}/properties", {"agency_code": {"type": "string"}}),
    ("a text becomes a number", f"{DATA}/properties/agency/type", "integer"),
    ("a number becomes a text", f"{DATA}/properties/reroute_count/type", "string"),
    ("a field that was always there may be missing", f"{DATA}/required", FIELDS[1:]),
    ("no field is required any more", f"{DATA}/required", []),
    ("the payload may be missing", "required", ["id", "source", "subject", "time", "sequence"]),
    ("a new field is demanded of producers", f"{DATA}/required", [*FIELDS, "more"]),
    ("an optional field is demanded", f"{DATA}/required", [*FIELDS, "reroute_count"]),
    ("a value is added to an enumeration", "$defs/Urgency/enum", ["high", "medium", "low", "extreme"]),
    ("a service is added", "$defs/Service/enum", ["case_management", "dental_care"]),
    ("an enumeration becomes any text", "$defs/ReferralRole/enum", None),
    ("a value is renamed", "$defs/ReferralRole/enum", ["lead", "helper"]),
    ("an enumeration changes its type", "$defs/Urgency/type", "integer"),
    ("the type changes its version", "properties/type/const", "referral.offered.v2"),
    ("the specification changes its version", "properties/specversion/const", "2.0"),
    ("a pattern is loosened", "properties/sequence/pattern", ".*"),
    ("a pattern is dropped", "properties/subject/pattern", None),
    ("a format changes", f"{DATA}/properties/answer_by/format", "date"),
    ("a format is dropped", f"{DATA}/properties/referral_id/format", None),
    ("a lower bound is dropped", f"{DATA}/properties/reroute_count/minimum", None),
    ("a lower bound is lowered", f"{DATA}/properties/reroute_count/minimum", -1),
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
    ("an optional field is added to a section", "$defs/SealedSection/properties/note", MORE),
    ("other words", f"{DATA}/description", "other words"),
    ("other words of a field", f"{DATA}/properties/agency/description", "other words"),
    ("another title", f"{DATA}/title", "Offer"),
    ("another default", f"{DATA}/properties/reroute_count/default", 1),
    ("a value is never sent any more", "$defs/Urgency/enum", ["high", "medium"]),
    ("a length is bounded", "properties/sequence/maxLength", 10),
    ("a lower bound is raised", f"{DATA}/properties/reroute_count/minimum", 1),
    ("an upper bound is added", f"{DATA}/properties/reroute_count/maximum", 9),
    ("null is never sent any more", "properties/causationid/anyOf", [{"format": "uuid", "type": "string"}]),
    ("an example is added", f"{DATA}/properties/agency/examples", ["ylpa"]),
    ("a definition that nothing uses", "$defs/Unused", MORE),
]


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
        "case.closed.v1: removed (breaks: every consumer); publish a .v2 as well"
    ]


def test_writing_refuses_a_breaking_difference(tmp_path: Path) -> None:
    published = tmp_path / f"{OFFERED}.json"
    published.write_text('{"properties": {"gone": {"type": "string"}}, "required": ["gone"]}')

    problems = contract.write(tmp_path)

    assert problems
    assert "gone" in published.read_text()

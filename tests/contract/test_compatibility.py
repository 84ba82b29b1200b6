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


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{DATA}/properties/answer_by", None),
        (f"{DATA}/properties/agency/type", "integer"),
        (f"{DATA}/required", ["referral_id"]),
        (f"{DATA}/required", ["referral_id", "case_id", "agency", "service", "role", "urgency", "answer_by", "more"]),
        ("$defs/Urgency/enum", ["high", "medium", "low", "extreme"]),
        ("properties/type/const", "referral.offered.v2"),
        ("properties/sequence/pattern", ".*"),
        ("properties/subject/pattern", None),
        (f"{DATA}/properties/answer_by/format", "date"),
        ("properties/causationid/anyOf", [{"type": "string"}, {"type": "integer"}]),
    ],
)
def test_breaking_change_is_found(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{DATA}/properties/note", {"type": "string"}),
        (f"{DATA}/description", "other words"),
        ("$defs/Urgency/enum", ["high", "medium"]),
        ("properties/sequence/maxLength", 10),
    ],
)
def test_safe_change_passes(path: str, value: Any) -> None:
    assert breaking_changes(*_changed(path, value)) == []


def test_breaking_change_names_the_consumers() -> None:
    before, after = _changed(f"{DATA}/properties/answer_by", None)

    found = contract.breaks({OFFERED: before}, {OFFERED: after})

    assert any("notify, desk, agency" in problem and "answer_by" in problem for problem in found)


def test_removed_message_breaks_every_consumer() -> None:
    assert contract.breaks({"case.closed.v1": {}}, {}) == [
        "case.closed.v1: removed (breaks: every consumer); publish a .v2 beside it"
    ]


def test_writing_refuses_a_breaking_difference(tmp_path: Path) -> None:
    published = tmp_path / f"{OFFERED}.json"
    published.write_text('{"properties": {"gone": {"type": "string"}}, "required": ["gone"]}')

    problems = contract.write(tmp_path)

    assert problems
    assert "gone" in published.read_text()

"""A roster is complete, or it is refused with every gap named."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from simpul_city import City, read_yaml
from simpul_notify.domain import Roster
from simpul_notify.errors import RosterInvalid
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_schema.vocabulary import AlertChannel, Urgency

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
CITY = City.read(KEDIRI)
LEVELS = {"uptd-ppa-head": "uptd-ppa", "city-board": ""}
DESCRIBED: dict[str, Any] = read_yaml(KEDIRI / "roster.yaml")


@pytest.fixture
def described() -> dict[str, Any]:
    """Kediri's roster, to be modified."""
    return deepcopy(DESCRIBED)


def read(tmp_path: Path, described: dict[str, Any]) -> Roster:
    path = tmp_path / "roster.yaml"
    YAML(typ="safe", pure=True).dump(described, path)
    return read_roster(path, CITY, LEVELS)


def test_every_agency_and_level_of_kediri_has_a_responder() -> None:
    roster = read_roster(KEDIRI / "roster.yaml", CITY, LEVELS)

    assert set(roster.on_duty) == CITY.agency_codes | LEVELS.keys()
    assert all(roster.on_duty.values())
    assert set(roster.channels) == set(Urgency)


@pytest.mark.parametrize("written", ["081234567890", "6281234567890", "+6281234567890", "0812-3456-7890",
                                     "+62 812 3456 7890"])  # fmt: skip
def test_a_phone_number_is_normalized(tmp_path: Path, described: dict[str, Any], written: str) -> None:
    described["on_duty"]["polres-ppa"][0]["sms"] = written

    roster = read(tmp_path, described)

    assert roster.responders["polres-ppa-1"].contact_methods[AlertChannel.SMS] == "+6281234567890"


@pytest.mark.parametrize("people", [None, []], ids=["left out", "empty"])
def test_an_agency_without_a_responder_is_named(
    tmp_path: Path, described: dict[str, Any], people: list[Any] | None
) -> None:
    del described["on_duty"]["rs-rujukan"]
    if people is not None:
        described["on_duty"]["rs-rujukan"] = people

    with pytest.raises(RosterInvalid, match="rs-rujukan: nobody on duty"):
        read(tmp_path, described)


def test_the_levels_are_those_of_the_agreement() -> None:
    assert read_escalation_levels(KEDIRI / "agreement") == LEVELS


def test_a_party_named_only_by_an_escalation_policy_is_a_level(tmp_path: Path) -> None:
    version = tmp_path / "2027-01"
    shutil.copytree(KEDIRI / "agreement" / "2026-11", version)
    clauses = version / "clauses" / "80-escalation-retention.yaml"
    clauses.write_text(clauses.read_text().replace("also: [city-board]", "also: bapas"))

    assert read_escalation_levels(tmp_path) == LEVELS | {"bapas": ""}


def test_a_level_without_a_responder_is_named(tmp_path: Path, described: dict[str, Any]) -> None:
    del described["levels"]["city-board"]

    with pytest.raises(RosterInvalid, match="city-board: nobody on duty"):
        read(tmp_path, described)


def test_every_gap_is_named_at_once(tmp_path: Path, described: dict[str, Any]) -> None:
    del described["on_duty"]["rs-rujukan"]
    described["on_duty"]["polres-ppa"][0]["sms"] = "12"
    described["on_duty"]["ylpa"][0]["mail"] = "nowhere"
    described["on_duty"]["dinas-lain"] = []
    del described["channels"]["low"]

    with pytest.raises(RosterInvalid) as refusal:
        read(tmp_path, described)

    for gap in (
        "rs-rujukan: nobody on duty",
        "polres-ppa: polres-ppa-1 has no valid phone number",
        "ylpa: ylpa-1 has no mail address",
        "dinas-lain: neither an agency of Kota Kediri nor a level of its agreement",
        "urgency low: no channel",
    ):
        assert gap in str(refusal.value)


@pytest.mark.parametrize("missing", ["sms", "mail"])
def test_a_responder_without_a_contact_method_is_named(tmp_path: Path, described: dict[str, Any], missing: str) -> None:
    del described["on_duty"]["ylpa"][0][missing]

    with pytest.raises(RosterInvalid, match="ylpa: ylpa-1 has no"):
        read(tmp_path, described)


def test_two_responders_must_not_share_a_reference(tmp_path: Path, described: dict[str, Any]) -> None:
    described["on_duty"]["ylpa"][0]["responder"] = "polres-ppa-1"

    with pytest.raises(RosterInvalid, match="two people share a responder reference"):
        read(tmp_path, described)


def test_contact_methods_never_show_in_a_log(described: dict[str, Any]) -> None:
    roster = read_roster(KEDIRI / "roster.yaml", CITY, LEVELS)

    assert "@" not in repr(roster.responders["polres-ppa-1"])
    assert "+62" not in repr(roster.responders["polres-ppa-1"])

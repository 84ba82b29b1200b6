"""A roster is complete, or it is refused with every gap named."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from structlog.testing import capture_logs

from simpul_city import City, read_yaml
from simpul_notify.domain.escalation import ladder_of
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.errors import RosterInvalid
from simpul_notify.roster import WatchedRoster, read_escalation_levels, read_roster
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


def write(path: Path, described: dict[str, Any]) -> None:
    YAML(typ="safe", pure=True).dump(described, path)


def test_a_changed_roster_is_read_again(tmp_path: Path, described: dict[str, Any]) -> None:
    path = tmp_path / "roster.yaml"
    write(path, described)
    watched = WatchedRoster(path, CITY, LEVELS)
    before = watched.current
    described["on_duty"]["ylpa"][0]["sms"] = "081234567890"
    write(path, described)
    watched.read_again()

    assert before is not watched.current
    assert watched.current.responders["ylpa-1"].contact_methods[AlertChannel.SMS] == "+6281234567890"
    assert watched.find_warnings() == []


@pytest.mark.parametrize("content", ["", "a: [", "country: ID\n"])
def test_a_refused_change_leaves_the_last_roster_in_use_and_is_named(
    tmp_path: Path, described: dict[str, Any], content: str
) -> None:
    path = tmp_path / "roster.yaml"
    write(path, described)
    watched = WatchedRoster(path, CITY, LEVELS)
    before = watched.current

    path.write_text(content)
    with capture_logs() as logs:
        watched.read_again()
        watched.read_again()
    unreadable = watched.find_warnings()
    del described["on_duty"]["rs-rujukan"]
    write(path, described)
    watched.read_again()

    assert watched.current is before
    assert [entry["event"] for entry in logs] == ["roster_refused"]
    assert unreadable[0].startswith("roster: the file cannot be read")
    assert watched.find_warnings() == ["roster: rs-rujukan: nobody on duty"]


async def test_a_missing_person_stops_no_start_but_a_replacement(tmp_path: Path, described: dict[str, Any]) -> None:
    path = tmp_path / "roster.yaml"
    del described["on_duty"]["rs-rujukan"]
    write(path, described)
    watched = WatchedRoster(path, CITY, LEVELS)
    del described["channels"]["high"]
    write(path, described)

    assert "polres-ppa" in watched.current.on_duty
    assert await watched.find_start_problems() == ["roster: rs-rujukan: nobody on duty"]
    with pytest.raises(RosterInvalid, match="urgency high: no channel"):
        WatchedRoster(path, CITY, LEVELS)


@pytest.mark.parametrize(
    "written", ["081234567890", "6281234567890", "+6281234567890", "0812-3456-7890", "+62 812 3456 7890"]
)
def test_a_phone_number_is_normalized(tmp_path: Path, described: dict[str, Any], written: str) -> None:
    described["on_duty"]["polres-ppa"][0]["sms"] = written

    roster = read(tmp_path, described)

    assert roster.responders["polres-ppa-1"].contact_methods[AlertChannel.SMS] == "+6281234567890"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("0354 123456", "not a mobile number"),
        ("0062 812 3456 7890", "does not exist in ID"),
        ("0812 3456 7890 (ibu)", "something else in it"),
        ("+62811999", "does not exist in ID"),
        ("62811999", "does not exist in ID"),
        ("0800 111 001", "not a mobile number"),
        ("+65 8123 4567", "does not exist in ID"),
        ("0812 3456 7890 12 34", "does not exist in ID"),
        ("++++", "something else in it"),
        ("", "has no phone number"),
    ],
)
def test_what_is_not_a_mobile_number_of_the_country_is_refused(
    tmp_path: Path, described: dict[str, Any], written: str, problem: str
) -> None:
    described["on_duty"]["polres-ppa"][0]["sms"] = written

    with pytest.raises(RosterInvalid, match="polres-ppa: polres-ppa-1 has") as refusal:
        read(tmp_path, described)

    assert problem in str(refusal.value)
    # The message is logged, so it must not repeat the number.
    assert not written or written not in str(refusal.value).replace(str(tmp_path), "")


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
        "polres-ppa: polres-ppa-1 has a phone number that does not exist in ID",
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


def test_further_numbers_are_tried_after_the_first_ones_of_each_channel(
    tmp_path: Path, described: dict[str, Any]
) -> None:
    described["on_duty"]["ylpa"][0] |= {
        "sms": ["083400111003", "083400111903", "083400111904"],
        "mail": ["a@ylpa.example", "b@ylpa.example"],
        "unverified": ["sms/2"],
    }

    roster = read(tmp_path, described)

    [stage, *_] = ladder_of(roster, "ylpa", Urgency.HIGH, roster.policies[Urgency.HIGH])
    assert [recipient.method for recipient in stage.methods] == ["sms", "mail", "sms/2", "mail/2"]
    assert [recipient.method for recipient in stage.recipients()] == ["sms", "mail"]
    assert roster.address_of(Recipient("ylpa-1", AlertChannel.SMS, 2)) == "+6283400111904"
    assert roster.address_of(Recipient("ylpa-1", AlertChannel.SMS, 3)) == ""
    assert "0834" not in repr(roster.responders["ylpa-1"])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"sms": ["083400111003", "0354 123456"]}, r"ylpa-1 \(sms/2\) has a phone number that is not a mobile"),
        ({"mail": ["a@ylpa.example", "nowhere"]}, r"ylpa-1 \(mail/2\) has no mail address"),
        ({"unverified": ["sms/2"]}, "ylpa-1 has no sms/2 to be unverified"),
    ],
)
def test_a_further_number_is_checked_like_the_first(
    tmp_path: Path, described: dict[str, Any], entry: dict[str, Any], problem: str
) -> None:
    described["on_duty"]["ylpa"][0] |= entry

    with pytest.raises(RosterInvalid, match=problem):
        read(tmp_path, described)


def test_two_responders_must_not_share_a_reference(tmp_path: Path, described: dict[str, Any]) -> None:
    described["on_duty"]["ylpa"][0]["responder"] = "polres-ppa-1"

    with pytest.raises(RosterInvalid, match="two people share a responder reference"):
        read(tmp_path, described)


def test_contact_methods_never_show_in_a_log(described: dict[str, Any]) -> None:
    roster = read_roster(KEDIRI / "roster.yaml", CITY, LEVELS)

    assert "@" not in repr(roster.responders["polres-ppa-1"])
    assert "+62" not in repr(roster.responders["polres-ppa-1"])

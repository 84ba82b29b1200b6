"""The doctor checks certificates, keys, and the city's last delivery manifest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from simpul_agency import AgencySettings
from simpul_agency.command import doctor
from simpul_agency.enrolment import make_certificate_request, make_keys
from simpul_agency.records import DeliveryStatus
from simpul_cli.agency.certificates import CERTIFICATE_DAYS, Authority
from simpul_seal import Directory, generate

NOW = datetime(2026, 11, 24, tzinfo=UTC)
STATUS = DeliveryStatus("/kediri/routing", 9, 9, NOW.timestamp(), NOW.timestamp(), NOW.timestamp() + 120, ())


@pytest.fixture
def settings(tmp_path: Path) -> AgencySettings:
    """An agency that was admitted today."""
    ring, public = make_keys("ylpa", NOW)
    ring.write(tmp_path / "keys")
    _, routing = generate("routing", not_before=NOW, not_after=NOW + timedelta(days=900))
    Directory([public, routing]).write(tmp_path / "directory")
    request = make_certificate_request("ylpa", tmp_path / "tls.key")
    (tmp_path / "certificate").write_text(Authority.create("Kediri", NOW).for_agency("ylpa", request, NOW))
    return AgencySettings(
        code="ylpa",
        amqp_url=SecretStr("amqp://x"),
        key_file=tmp_path / "keys",
        directory_file=tmp_path / "directory",
        certificate_file=tmp_path / "certificate",
    )


def test_settings_that_the_kit_does_not_read_are_named_with_the_closest_one(tmp_path: Path) -> None:
    file = tmp_path / "simpul-agency.env"
    file.write_text(
        "# SIMPUL_AGENCY_OLD=1\nSIMPUL_AGENCY_CODE=ylpa\nexport SIMPUL_AGENCY_ASK_AFTER=9\n"
        "SIMPUL_AGENCY_PAGES_PORT=1\nSIMPUL_AGENCY_AUTOMATIC=accepted\nSIMPUL_AGENCY_SCHEMA_DIR=x\n"
    )
    environment = {"SIMPUL_AGENCY_GAP_TIMEOUTS": "9", "simpul_agency_health_port": "1", "PATH": "/bin"}

    found = {
        finding.problem.partition(" ")[0]: finding.remedy.rpartition(" ")[2]
        for finding in doctor.check_names_of_settings(environment, file)
        if finding.is_warning
    }

    assert found == {
        "SIMPUL_AGENCY_ASK_AFTER": "SIMPUL_AGENCY_GAP_TIMEOUT",
        "SIMPUL_AGENCY_AUTOMATIC": "SIMPUL_AGENCY_AUTO_ACCEPT",
        "SIMPUL_AGENCY_GAP_TIMEOUTS": "SIMPUL_AGENCY_GAP_TIMEOUT",
        "SIMPUL_AGENCY_PAGES_PORT": "SIMPUL_AGENCY_WEB_INBOX_PORT",
    }
    assert doctor.check_names_of_settings({}, tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("days", "output"), [(1, ""), (CERTIFICATE_DAYS - 20, "expires in"), (CERTIFICATE_DAYS + 1, "has expired")]
)
def test_the_doctor_warns_before_a_certificate_expires(settings: AgencySettings, days: int, output: str) -> None:
    [finding] = doctor.check_certificate(settings, NOW + timedelta(days=days))

    assert output in finding.problem
    assert bool(finding.remedy) == bool(output)
    assert finding.is_warning == (output == "expires in")


@pytest.mark.parametrize(("days", "output"), [(1, ""), (350, "end in"), (400, "ended on"), (-2, "not valid now")])
def test_the_doctor_warns_before_keys_end(settings: AgencySettings, days: int, output: str) -> None:
    problems = [
        finding.problem for finding in doctor.check_keys(settings, NOW + timedelta(days=days)) if finding.problem
    ]

    assert bool(problems) == bool(output)
    assert output in "".join(problems)


def test_the_doctor_warns_before_the_citys_keys_end(settings: AgencySettings) -> None:
    _, public = make_keys("ylpa", NOW)
    _, routing = generate("routing", not_before=NOW, not_after=NOW + timedelta(days=40))
    kept = [key for key in Directory.read(settings.directory_file).entries if key.party == "ylpa"]
    Directory([*kept, public, routing]).write(settings.directory_file)

    soon = [doctor.check_keys(settings, NOW + timedelta(days=days))[-1] for days in (1, 20)]

    assert [finding.problem for finding in soon] == ["", "the city's keys end in 20 days"]
    assert soon[1].is_warning


@pytest.mark.parametrize(("seconds", "output"), [(0, ""), (-90, "behind"), (90, "ahead")])
def test_a_wrong_clock_shows_in_the_last_manifest(seconds: int, output: str) -> None:
    finding = doctor.check_clock(replace(STATUS, received_at=STATUS.issued_at + seconds))

    assert output in finding.problem
    # What is old may only have waited in the queue.
    assert finding.is_warning == (output == "ahead")
    assert ("NTP" in finding.remedy) == bool(output)

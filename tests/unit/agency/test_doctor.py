"""What the doctor reads from a certificate, from keys and from the city's last account."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from simpul_agency import AgencySettings
from simpul_agency.command import doctor
from simpul_agency.enrolment import make_certificate_request, make_keys
from simpul_agency.records import Standing
from simpul_cli.agency.certificates import CERTIFICATE_DAYS, Authority
from simpul_seal import Directory, generate

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HEARD = Standing("/kediri/routing", 9, 9, NOW.timestamp(), NOW.timestamp(), NOW.timestamp() + 120, ())


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
        code="ylpa", amqp_url=SecretStr("amqp://x"), key_file=tmp_path / "keys",
        directory_file=tmp_path / "directory", certificate_file=tmp_path / "certificate",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("days", "told"), [(1, ""), (CERTIFICATE_DAYS - 20, "expires in"), (CERTIFICATE_DAYS + 1, "has expired")]
)
def test_a_certificate_is_told_before_it_ends(settings: AgencySettings, days: int, told: str) -> None:
    [finding] = doctor._certificate(settings, NOW + timedelta(days=days))

    assert told in finding.problem
    assert bool(finding.remedy) == bool(told)
    assert finding.is_warning == (told == "expires in")


@pytest.mark.parametrize(("days", "told"), [(1, ""), (350, "end in"), (400, "ended on"), (-2, "not valid now")])
def test_keys_are_told_before_they_end(settings: AgencySettings, days: int, told: str) -> None:
    problems = [finding.problem for finding in doctor._keys(settings, NOW + timedelta(days=days)) if finding.problem]

    assert bool(problems) == bool(told)
    assert told in "".join(problems)


def test_a_directory_in_which_the_citys_keys_end_soon_is_told(settings: AgencySettings) -> None:
    _, public = make_keys("ylpa", NOW)
    _, routing = generate("routing", not_before=NOW, not_after=NOW + timedelta(days=40))
    kept = [key for key in Directory.read(settings.directory_file).entries if key.party == "ylpa"]
    Directory([*kept, public, routing]).write(settings.directory_file)

    soon = [doctor._keys(settings, NOW + timedelta(days=days))[-1] for days in (1, 20)]

    assert [finding.problem for finding in soon] == ["", "the city's keys in it end in 20 days"]
    assert soon[1].is_warning


@pytest.mark.parametrize(("seconds", "told"), [(0, ""), (-90, "behind"), (90, "ahead")])
def test_a_clock_that_is_wrong_shows_in_the_last_heartbeat(seconds: int, told: str) -> None:
    finding = doctor._clock(replace(HEARD, received_at=HEARD.issued_at + seconds))

    assert told in finding.problem
    # What is old may only have waited in the queue.
    assert finding.is_warning == (told == "ahead")
    assert ("NTP" in finding.remedy) == bool(told)

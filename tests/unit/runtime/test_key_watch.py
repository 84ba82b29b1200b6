"""Warnings before keys expire."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from simpul_cli.keys import create_keys, directory_file, key_file, rotate_keys
from simpul_runtime.key_watch import KeyWatch
from simpul_runtime.logging import configure_logging
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_seal import Directory, KeyRing, WatchedDirectory, WatchedKeyRing

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = 365 * DAY
CITY = ("ylpa", "polres-ppa", "satgas-kel-bujel")
"""The last one was never enrolled."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A city whose keys were made at NOW."""
    create_keys(tmp_path, ("intake", "routing", *CITY[:2]), NOW)
    return tmp_path


def watch_of(folder: Path, party: str = "routing") -> KeyWatch:
    keys = Keys(WatchedKeyRing(key_file(folder, party)), WatchedDirectory(directory_file(folder)))
    watch = KeyWatch(keys, CITY)
    watch.covers_agencies = party == "routing"
    return watch


def expiry(party: str) -> float:
    name = f'simpul_key_expiry_timestamp_seconds{{party="{party}"}} '
    [line] = [line for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


def test_an_agency_that_was_never_enrolled_is_named_and_does_not_stop_the_service(folder: Path) -> None:
    watch = watch_of(folder)

    [warning] = watch.find_warnings(NOW)

    assert "satgas-kel-bujel" in warning
    assert "simpul agency add" in warning
    assert watch.find_problems(NOW) == []


def test_a_service_that_sends_nothing_to_agencies_warns_of_services_only(folder: Path) -> None:
    watch = watch_of(folder, "intake")

    assert watch.find_warnings(NOW) == []
    assert [warning.split()[3] for warning in watch.find_warnings(NOW + YEAR - 3 * DAY)] == ["intake", "routing"]


@pytest.mark.parametrize(("days_before", "is_warned"), [(61, False), (60, False), (59, True), (1, True)])
def test_warnings_start_sixty_days_before_a_key_expires(folder: Path, days_before: int, is_warned: bool) -> None:
    found = watch_of(folder).find_warnings(NOW + YEAR - days_before * DAY)

    soon = [warning for warning in found if " end in " in warning]
    assert bool(soon) == is_warned
    assert all(f"{days_before} days" in warning for warning in soon)
    assert any("simpul keys rotate routing" in warning for warning in soon) == is_warned


def test_a_service_whose_own_keys_have_ended_is_not_ready_and_says_what_to_run(folder: Path) -> None:
    [problem] = watch_of(folder).find_problems(NOW + YEAR)

    assert "`simpul keys rotate routing`" in problem


def test_a_rotation_ends_warning_and_problem_without_a_restart(folder: Path) -> None:
    watch = watch_of(folder, "intake")
    ends = NOW + YEAR
    assert watch.find_problems(ends)

    rotate_keys(folder, ["intake", "routing"], directory_file(folder), ends, overlap=30 * DAY)

    assert watch.find_problems(ends) == []
    assert watch.find_warnings(ends) == []


def test_a_process_without_the_newest_key_file_has_to_restart(folder: Path) -> None:
    before = KeyRing.read(key_file(folder, "intake"))
    rotate_keys(folder, ["intake"], directory_file(folder), NOW, overlap=30 * DAY)
    watch = KeyWatch(Keys(before, Directory.read(directory_file(folder))), CITY)

    [warning] = watch.find_warnings(NOW)

    assert "restart" in warning
    assert watch.find_problems(NOW) == []
    assert "restart" in watch.find_problems(NOW + 31 * DAY)[0]


def test_the_metric_has_the_expiry_of_the_last_key_of_each_party(folder: Path) -> None:
    watch_of(folder).update_metric(NOW)

    assert expiry("ylpa") == (NOW + YEAR).timestamp()
    assert expiry("satgas-kel-bujel") == 0


def test_warnings_are_logged_once_a_day(folder: Path) -> None:
    watch = watch_of(folder)

    with capture_logs() as logs:
        for minutes in range(0, 2 * 24 * 60, 30):
            watch.update_metric(NOW + timedelta(minutes=minutes))

    assert [(entry["event"], entry["party"]) for entry in logs] == [("keys_unusable", "satgas-kel-bujel")] * 2


def test_the_written_log_names_the_party_and_the_days(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("routing", "INFO")

    watch_of(folder).update_metric(NOW + YEAR - 59 * DAY)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {(line["event"], line["party"], line.get("days")) for line in lines}
    assert ("keys_need_renewal", "ylpa", 59) in named
    assert ("keys_unusable", "satgas-kel-bujel", None) in named


def test_the_log_names_a_service_whose_own_keys_have_ended(folder: Path) -> None:
    with capture_logs() as logs:
        watch_of(folder, "intake").update_metric(NOW + YEAR)

    assert ("keys_unusable", "intake") in [(entry["event"], entry["party"]) for entry in logs]

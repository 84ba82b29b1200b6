"""`simpul agency` on a live broker."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.backends import Backends


@pytest.fixture
def run(backends: Backends) -> "Run":
    return Run(backends)


class Run:
    def __init__(self, backends: Backends) -> None:
        self._environment = {"SIMPUL_RABBITMQ_API": backends.rabbitmq_api, "SIMPUL_AMQP_URL": backends.amqp_url}

    def __call__(self, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["agency", *words], env=self._environment)
        return done.exit_code, done.output


def test_an_agency_is_added_once_and_its_address_goes_into_a_file_of_its_own(run: Run, tmp_path: Path) -> None:
    run("remove", "satgas-kel-dermo")
    address = tmp_path / "address"
    would = run("add", "satgas-kel-dermo", "--dry-run", "--to", str(address))
    without = run("add", "satgas-kel-dermo")
    added = run("add", "satgas-kel-dermo", "--to", str(address))
    again = run("add", "satgas-kel-dermo")
    lost = run("add", "satgas-kel-dermo", "--renew", "--to", str(address))

    assert (would[0], "missing, would become active" in would[1]) == (0, True)
    assert (without[0], "--to" in without[1]) == (2, True)
    assert added[0] == again[0] == 0
    assert address.stat().st_mode & 0o077 == 0
    assert address.read_text().startswith("amqp://agency.satgas-kel-dermo:")
    # The password stands in the file alone.
    assert address.read_text().split(":")[2].split("@")[0] not in added[1]
    assert (lost[0], "exists" in lost[1]) == (2, True)


def test_the_list_shows_how_every_agency_stands(run: Run, tmp_path: Path) -> None:
    run("remove", "satgas-kel-dermo")
    run("add", "satgas-kel-dermo", "--to", str(tmp_path / "address"))
    active = run("list")
    suspended = run("suspend", "satgas-kel-dermo")
    shown = run("list")

    lines = [next(line for line in text.splitlines() if "satgas-kel-dermo" in line) for _, text in (active, shown)]
    assert [("active" in line, "suspended" in line) for line in lines] == [(True, False), (False, True)]
    assert suspended == (0, "satgas-kel-dermo: suspended; `simpul agency add satgas-kel-dermo` lets it work again\n")


def test_a_code_that_is_none_is_refused_with_those_that_are_near(run: Run) -> None:
    code, told = run("suspend", "satgas-kel-bandar-lo")

    assert code == 2
    assert "satgas-kel-bandar-lor" in told

"""A test with servers that fails once runs a second time, and is listed; a real fault stays one."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.second_try import LIMIT, LIST, deserve_a_second_try

ROOT = Path(__file__).parents[3]
CONFTEST = """
import pytest

from tests.support.distribution import distribute


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    distribute(items)
"""
UNSTEADY = """
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", ["b@x"])
def test_unsteady(address):
    first = not Path("tried").exists()
    Path("tried").touch()
    assert not first, "a busy machine"


def test_that_needs_the_one_before():
    assert Path("tried").exists()
"""
BROKEN = """
def test_broken():
    assert 1 == 2
"""


@pytest.mark.slow
def test_what_passes_at_the_second_try_is_listed_and_a_fault_fails_twice(tmp_path: Path) -> None:
    tests = tmp_path / "tests" / "integration"
    tests.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tests / "test_unsteady.py").write_text(UNSTEADY)
    (tests / "test_broken.py").write_text(BROKEN)
    command = [sys.executable, "-m", "tests.support.second_try", "-n", "1", "--dist", "loadgroup", "tests"]
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}

    run = partial(subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    both = run(check=False)
    listed = (tmp_path / LIST).read_text().splitlines()
    (tests / "test_broken.py").unlink()
    (tmp_path / "tried").unlink()
    unsteady = run(check=False)

    assert both.returncode == 1
    assert "2 failed; their files run a second time" in both.stdout
    assert [line.split()[0] for line in listed] == ["tests/integration/test_unsteady.py::test_unsteady[b@x]", "first"]
    assert "a busy machine" in listed[1]
    assert unsteady.returncode == 0
    assert unsteady.stdout.splitlines()[-3] == "unsteady: passed at one of two tries only, mend it"


def test_only_a_few_tests_that_talk_to_servers_get_a_second_try() -> None:
    names = [f"tests/journeys/test_a.py::test_{number}" for number in range(LIMIT + 1)]

    assert deserve_a_second_try(names[:LIMIT])
    assert not deserve_a_second_try(names)
    assert not deserve_a_second_try([])
    for folder in ("unit", "contract", "architecture", "agreement"):
        assert not deserve_a_second_try([*names[:1], f"tests/{folder}/test_b.py::test_c"])

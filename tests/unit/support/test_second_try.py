"""A test with servers that fails once runs a second time, and is listed; a real fault stays one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.second_try import LIMIT, LIST, deserve_a_second_try

ROOT = Path(__file__).parents[3]
WORKER = ("-n", "1", "--dist", "loadgroup")
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
UNREADABLE = """
import a_module_that_is_missing


def test_never():
    pass
"""
INTERRUPTED = """
from pathlib import Path

import pytest


def test_that_stops_the_second_try():
    if Path("seen").exists():
        pytest.exit("somebody stops it")
    Path("seen").touch()
"""


def _prepare(folder: Path, **files: str) -> Path:
    tests = folder / "tests" / "integration"
    tests.mkdir(parents=True)
    (folder / "conftest.py").write_text(CONFTEST)
    for name, content in files.items():
        (tests / f"test_{name}.py").write_text(content)
    return tests


def _try(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.second_try", *arguments, "tests"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_what_passes_at_the_second_try_is_listed_and_a_fault_fails_twice(tmp_path: Path) -> None:
    tests = _prepare(tmp_path, unsteady=UNSTEADY, broken=BROKEN)

    both = _try(tmp_path, *WORKER)
    listed = (tmp_path / LIST).read_text().splitlines()
    (tests / "test_broken.py").unlink()
    (tmp_path / "tried").unlink()
    unsteady = _try(tmp_path, *WORKER)

    assert both.returncode == 1
    assert "2 failed; their files run a second time" in both.stdout
    assert [line.split()[0] for line in listed] == ["tests/integration/test_unsteady.py::test_unsteady[b@x]", "first"]
    assert "a busy machine" in listed[1]
    assert unsteady.returncode == 0
    assert unsteady.stdout.splitlines()[-3] == "unsteady: passed at one of two tries only, mend it"


@pytest.mark.slow
def test_a_run_that_left_tests_out_stays_a_failed_one(tmp_path: Path) -> None:
    unread, stopped, interrupted = (tmp_path / name for name in ("unread", "stopped", "interrupted"))
    _prepare(unread, unsteady=UNSTEADY, unreadable=UNREADABLE)
    _prepare(stopped, unsteady=UNSTEADY, zone=BROKEN)
    _prepare(interrupted, unsteady=UNSTEADY + INTERRUPTED)

    # With workers a file that cannot be imported ends the run with the code of failed tests, as does --exitfirst alone.
    assert _try(unread, *WORKER).returncode == 1
    assert _try(stopped, "-n0", "--exitfirst").returncode == 1
    assert _try(interrupted, *WORKER).returncode == 1
    assert (interrupted / LIST).exists()


def test_only_a_few_tests_that_talk_to_servers_get_a_second_try() -> None:
    names = [f"tests/journeys/test_a.py::test_{number}" for number in range(LIMIT + 1)]

    assert deserve_a_second_try(names[:LIMIT])
    assert not deserve_a_second_try(names)
    assert not deserve_a_second_try([])
    for folder in ("unit", "contract", "architecture", "agreement"):
        assert not deserve_a_second_try([*names[:1], f"tests/{folder}/test_b.py::test_c"])

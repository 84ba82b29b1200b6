"""Runs tests; where a few that talk to real servers failed, their files run a second time, alone.

    python -m tests.support.second_try ARGUMENTS-OF-PYTEST

A real fault fails twice. A test that passes at one of two tries is unsteady: it is listed by name with its first
error, so that somebody mends it. A test of rules alone never gets a second try, nor does a run with many failures, with
a file that cannot be imported, or that stopped early.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.distribution import without_unit

LIMIT: Final = 8
"""When more fail, the cause is hardly a busy machine."""
WITH_SERVERS: Final = tuple(
    f"tests/{folder}/" for folder in ("browser", "compose", "conformance", "faults", "integration", "journeys")
)
LIST: Final = Path(".simpul/unsteady.txt")


class Results:
    """A pytest plugin that keeps which tests passed, and the first error of each test that failed."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.errors: dict[str, str] = {}
        self.is_whole = False
        """Whether every file was read and every test of it had its turn."""
        self._unread = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Receives each phase of each test, also from the workers."""
        test = without_unit(report.nodeid)
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            error = crash.message if crash else str(report.longrepr)
            self.errors.setdefault(test, error.strip().partition("\n")[0])
        elif report.passed and report.when == "call":
            self.passed.add(test)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Receives each file; with workers the run continues without one that fails, and only its exit code says so."""
        self._unread += report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Receives the end of the run."""
        self.is_whole = not (self._unread or session.shouldfail or session.shouldstop)


def deserve_a_second_try(tests: Iterable[str]) -> bool:
    """Whether few tests failed and each of them talks to real servers."""
    failed = list(tests)
    return 0 < len(failed) <= LIMIT and all(test.startswith(WITH_SERVERS) for test in failed)


def list_unsteady(errors: Mapping[str, str]) -> None:
    """Lists the unsteady tests at the end of the output and in a file."""
    lines = [line for test, error in errors.items() for line in (test, f"    first error: {error}")]
    LIST.parent.mkdir(exist_ok=True)
    LIST.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("unsteady: passed at one of two tries only, mend it", *(f"  {line}" for line in lines), sep="\n")


def main(arguments: list[str]) -> int:
    """Returns 0 only when every test passed at the first or at the second try."""
    LIST.unlink(missing_ok=True)
    first, second = Results(), Results()
    code = pytest.main(arguments, plugins=[first])
    if code != pytest.ExitCode.TESTS_FAILED or not first.is_whole or not deserve_a_second_try(first.errors):
        return int(code)
    # A test may need what those before it in its file have done.
    files = sorted({test.partition("::")[0] for test in first.errors})
    print(f"\n{len(first.errors)} failed; their files run a second time, alone:", flush=True)
    # The workers of the first try are gone with their servers and modules; this process has imported no test.
    again = pytest.main(["-n0", *files], plugins=[second])
    passed_once = (first.passed - first.errors.keys()) | (second.passed - second.errors.keys())
    errors = second.errors | first.errors
    unsteady = {test: error for test, error in errors.items() if test in passed_once}
    if unsteady:
        list_unsteady(unsteady)
    is_complete = second.is_whole and again in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return int(pytest.ExitCode.OK if is_complete and unsteady.keys() == errors.keys() else code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

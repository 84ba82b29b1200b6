"""How tests are shared out among the workers of `make test`.

A worker takes one unit after another: a file, or all files that use one of the servers that are started once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import pytest

STARTED_ONCE: Final = ("city", "hosting_city")
"""Fixtures that start many processes; tests that share one run on one worker, so that no second is started."""

EXAMINING: Final = "tests/architecture/"
"""Tests that parse the whole repository, which one worker does once."""

LONGEST_FIRST: Final = (
    # Builds images with both processors, so at the same time runs what waits for nothing.
    "tests/compose/test_compose_up.py",
    "tests/agreement/",
    "city",
    "tests/conformance/",
    "tests/faults/",
    "hosting_city",
    "tests/integration/isolation/",
    "tests/journeys/",
    "tests/browser/",
    "tests/integration/",
    EXAMINING,
)
"""Units by the beginning of their names; small ones at the end let all workers end together."""


def order(tests: Sequence[tuple[str, Iterable[str]]]) -> list[tuple[str, int]]:
    """Returns the unit and the place of each test, from their files and fixtures, in the order in which they run."""
    unit_of_file: dict[str, str] = {}
    for file, fixtures in tests:
        shared = next((name for name in STARTED_ONCE if name in fixtures), None)
        if file.startswith(EXAMINING):
            shared = EXAMINING
        if shared or file not in unit_of_file:
            unit_of_file[file] = shared or file
    units = [unit_of_file[file] for file, _ in tests]
    sizes = Counter(units)

    def rank(place: int) -> tuple[int, int, str, int]:
        unit = units[place]
        fits = (index for index, start in enumerate(LONGEST_FIRST) if unit.startswith(start))
        return next(fits, len(LONGEST_FIRST)), -sizes[unit], unit, place

    return [(units[place], place) for place in sorted(range(len(tests)), key=rank)]


def distribute(items: list[pytest.Item]) -> None:
    """Names the unit of each test for `--dist loadgroup`, and sorts them."""
    collected = list(items)
    tests = [(item.nodeid.partition("::")[0], _shared_by_all(item)) for item in collected]
    for position, (unit, place) in enumerate(order(tests)):
        items[position] = collected[place]
        collected[place].add_marker(pytest.mark.xdist_group(unit))


def are_distributed(items: Iterable[pytest.Item]) -> bool:
    """Whether the node id of every test ends with its unit, which is all that the scheduler reads."""
    return all(item.nodeid.endswith(f"@{mark.args[0]}") for item in items for mark in item.iter_markers("xdist_group"))


def without_unit(node_id: str) -> str:
    """Returns a node id as pytest takes it, without the unit that the scheduler reads."""
    test, _, unit = node_id.rpartition("@")
    return test if unit in (node_id.partition("::")[0], EXAMINING, *STARTED_ONCE) else node_id


def _shared_by_all(item: pytest.Item) -> list[str]:
    """Returns the fixtures of a test that are started once for the whole run."""
    if not isinstance(item, pytest.Function):
        return []
    found = item._fixtureinfo.name2fixturedefs
    return [name for name, definitions in found.items() if definitions[-1].scope == "session"]

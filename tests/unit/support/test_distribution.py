"""Tests are shared out so that workers end together and no server is started twice."""

from tests.support.distribution import LONGEST_FIRST, order

COMPOSE = LONGEST_FIRST[0]
TESTS = [
    ("tests/unit/test_small.py", ()),
    ("tests/journeys/test_a.py", ("city", "backends")),
    ("tests/unit/test_large.py", ()),
    ("tests/unit/test_large.py", ()),
    ("tests/integration/test_b.py", ("tmp_path",)),
    ("tests/integration/test_b.py", ("city",)),
    (COMPOSE, ("deployment",)),
    ("tests/browser/test_c.py", ("hosting_city",)),
]


def test_files_that_share_a_city_are_one_unit() -> None:
    units = {TESTS[place][0]: unit for unit, place in order(TESTS)}

    assert units["tests/journeys/test_a.py"] == units["tests/integration/test_b.py"] == "city"
    assert units["tests/browser/test_c.py"] == "hosting_city"
    assert units["tests/unit/test_small.py"] == "tests/unit/test_small.py"


def test_the_longest_units_come_first_and_small_files_last() -> None:
    units = list(dict.fromkeys(unit for unit, _ in order(TESTS)))

    assert units == [COMPOSE, "city", "hosting_city", "tests/unit/test_large.py", "tests/unit/test_small.py"]


def test_each_test_runs_once_and_a_unit_keeps_its_order() -> None:
    places = [place for _, place in order(TESTS)]

    assert sorted(places) == list(range(len(TESTS)))
    assert places[1:4] == [1, 4, 5]

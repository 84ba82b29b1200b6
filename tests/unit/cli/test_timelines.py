"""A copy leads to the present server if its timeline was left after the copy ended."""

import pytest

from simpul_cli.backup.timelines import Timelines, position_of, read_history, timeline_of

HISTORY = "1\t0/3000158\tbefore 2026-11-26 01:00:00+00\n\n2\t1/A0000028\tat restore point\n"
"""Of timeline 3."""


def test_a_position_has_a_file_of_4_gib_and_a_place_in_it() -> None:
    assert position_of("0/3000158") == 0x3000158
    assert position_of("1/A0000028") == (1 << 32) + 0xA0000028
    assert timeline_of("0000000A00000001000000A0") == 10


@pytest.mark.parametrize(
    ("timeline", "ended", "expected"),
    [
        (3, "9/0", True),
        (2, "1/A0000028", True),
        (2, "1/A0000030", False),
        (1, "0/3000000", True),
        (1, "0/4000000", False),
        # Another restore than the one that the present server comes from.
        (4, "0/3000000", False),
    ],
)
def test_only_what_the_present_server_has_passed_leads_to_it(timeline: int, ended: str, expected: bool) -> None:
    timelines = read_history(3, HISTORY)

    assert timelines.is_on_the_way(timeline, position_of(ended)) is expected


def test_a_server_that_was_never_restored_has_one_timeline() -> None:
    assert Timelines(1, {}).is_on_the_way(1, position_of("7/0"))

"""Figures that point at no child: small ones are not told, and cannot be worked out from the others."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simpul_routing.domain.indicators import ALL, MIN_COUNT, Line, publish_lines, publish_parts, suppress_small_counts

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), min_size=1)


def test_a_small_figure_is_not_told_and_neither_is_the_next_one() -> None:
    assert suppress_small_counts({"a": 3, "b": 9, "c": 20, "d": 0}) == {"a": None, "b": None, "c": 20, "d": 0}
    # Five of two that are each at least one: neither is known.
    assert suppress_small_counts({"a": 3, "b": 3, "c": 20}) == {"a": None, "b": None, "c": 20}
    # Two of two that are each at least one: both are known, so a third is hidden too.
    assert suppress_small_counts({"a": 1, "b": 1, "c": 20, "d": 30}) == {"a": None, "b": None, "c": None, "d": 30}
    assert suppress_small_counts({"a": 5, "b": 0}) == {"a": 5, "b": 0}


@given(COUNTS)
def test_no_small_figure_is_told_and_none_can_be_worked_out_from_the_sum(parts: dict[str, int]) -> None:
    told = suppress_small_counts(parts)
    hidden = [key for key, count in told.items() if count is None]

    assert all(count is None or count == 0 or count >= MIN_COUNT for count in told.values())
    assert all(told[key] in (None, count) for key, count in parts.items())
    everything_counted = [key for key, count in parts.items() if count]
    largest_possible = sum(parts[key] for key in hidden) - (len(hidden) - 1)
    # Where hiding does not help, everything is hidden; then the sum is not told either.
    assert not hidden or (len(hidden) > 1 and largest_possible >= MIN_COUNT) or hidden == everything_counted


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_no_table_tells_a_small_figure_or_few_that_are_missing(counted: list[dict[str, int]]) -> None:
    measures = ("offered", "seen", "accepted")
    lines = []
    for number, counts in enumerate(counted):
        falling = sorted((counts.get(name, 7) for name in "abc"), reverse=True)
        lines.append(Line(str(number), dict(zip(measures, falling, strict=True))))

    for line in publish_lines(lines, measures):
        told = [count for name in measures if (count := line.counts[name]) is not None]
        assert all(count == 0 or count >= MIN_COUNT for count in told)
        assert all(big == small or big - small >= MIN_COUNT for big, small in pairwise(told))


def test_a_table_has_its_sum_and_times_only_of_what_is_told() -> None:
    lines = [
        Line("ylpa", {"offered": 10, "seen": 2}, {"offered_p50": 4.0, "seen_p50": 7.0}),
        Line("uptd-ppa", {"offered": 30, "seen": 30}, {"offered_p50": 5.0, "seen_p50": 6.0}),
    ]

    told = publish_lines(lines)

    assert [line.key for line in told] == ["ylpa", "uptd-ppa", ALL]
    assert told[0].counts == {"offered": 10, "seen": None}
    assert told[0].seconds == {"offered_p50": 4.0, "seen_p50": None}
    # Told beside the sum, it would tell that of ylpa.
    assert told[1].counts == {"offered": 30, "seen": None}
    assert told[2].counts == {"offered": 40, "seen": 32}


def test_a_small_sum_is_not_told_either_and_nothing_makes_an_empty_table() -> None:
    assert publish_lines([Line("ylpa", {"offered": 2})])[-1].counts == {"offered": None}
    assert publish_lines([]) == publish_parts([]) == []


def test_the_parts_of_each_line_hide_one_another() -> None:
    assert publish_parts([Line("answer", {"met": 40, "missed": 1, "running": 0})])[0].counts == {
        "met": None, "missed": None, "running": 0,
    }  # fmt: skip
    assert publish_parts([Line("answer", {"met": 2, "missed": 1, "running": 0})])[0].counts == {
        "met": None, "missed": None, "running": None,
    }  # fmt: skip

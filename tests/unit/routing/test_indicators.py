"""Suppression of small counts, which cannot be computed from the published ones either."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simpul_routing.domain.indicators import ALL, MIN_COUNT, Line, publish_lines, publish_parts, suppress_small_counts

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), min_size=1)


def test_a_small_count_is_suppressed_with_the_next_one() -> None:
    assert suppress_small_counts({"a": 3, "b": 9, "c": 20, "d": 0}) == {"a": None, "b": None, "c": 20, "d": 0}
    # Two parts of at least one with the sum five: neither is known.
    assert suppress_small_counts({"a": 3, "b": 3, "c": 20}) == {"a": None, "b": None, "c": 20}
    # Two parts of at least one with the sum two: both are known, so a third is hidden too.
    assert suppress_small_counts({"a": 1, "b": 1, "c": 20, "d": 30}) == {"a": None, "b": None, "c": None, "d": 30}
    assert suppress_small_counts({"a": 5, "b": 0}) == {"a": 5, "b": 0}


@given(COUNTS)
def test_small_counts_are_suppressed_and_cannot_be_computed_from_the_sum(parts: dict[str, int]) -> None:
    published = suppress_small_counts(parts)
    hidden = [key for key, count in published.items() if count is None]

    assert all(count is None or count == 0 or count >= MIN_COUNT for count in published.values())
    assert all(published[key] in (None, count) for key, count in parts.items())
    everything_counted = [key for key, count in parts.items() if count]
    largest_possible = sum(parts[key] for key in hidden) - (len(hidden) - 1)
    # Where hiding does not help, everything is hidden, and the total is suppressed as well.
    assert not hidden or (len(hidden) > 1 and largest_possible >= MIN_COUNT) or hidden == everything_counted


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_no_table_reveals_a_small_count_or_a_small_difference(counted: list[dict[str, int]]) -> None:
    measures = ("offered", "seen", "accepted")
    lines = []
    for number, counts in enumerate(counted):
        falling = sorted((counts.get(name, 7) for name in "abc"), reverse=True)
        lines.append(Line(str(number), dict(zip(measures, falling, strict=True))))

    for line in publish_lines(lines, measures):
        published = [count for name in measures if (count := line.counts[name]) is not None]
        assert all(count == 0 or count >= MIN_COUNT for count in published)
        assert all(big == small or big - small >= MIN_COUNT for big, small in pairwise(published))


def test_a_table_has_its_total_and_durations_of_published_counts_only() -> None:
    lines = [
        Line("ylpa", {"offered": 10, "seen": 2}, {"offered_p50": 4.0, "seen_p50": 7.0}),
        Line("uptd-ppa", {"offered": 30, "seen": 30}, {"offered_p50": 5.0, "seen_p50": 6.0}),
    ]

    published = publish_lines(lines)

    assert [line.key for line in published] == ["ylpa", "uptd-ppa", ALL]
    assert published[0].counts == {"offered": 10, "seen": None}
    assert published[0].seconds == {"offered_p50": 4.0, "seen_p50": None}
    # Published with the total, it would reveal the count of ylpa.
    assert published[1].counts == {"offered": 30, "seen": None}
    assert published[2].counts == {"offered": 40, "seen": 32}


def test_a_small_total_is_suppressed_and_no_lines_make_an_empty_table() -> None:
    assert publish_lines([Line("ylpa", {"offered": 2})])[-1].counts == {"offered": None}
    assert publish_lines([]) == publish_parts([]) == []


def test_the_parts_of_each_line_hide_one_another() -> None:
    assert publish_parts([Line("answer", {"met": 40, "missed": 1, "running": 0})])[0].counts == {
        "met": None,
        "missed": None,
        "running": 0,
    }
    assert publish_parts([Line("answer", {"met": 2, "missed": 1, "running": 0})])[0].counts == {
        "met": None,
        "missed": None,
        "running": None,
    }

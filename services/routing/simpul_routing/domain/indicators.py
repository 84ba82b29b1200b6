"""Indicators with small counts suppressed, so that no figure identifies a child."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MIN_COUNT: Final = 5
"""A smaller count could identify a child, so it is suppressed (small-number suppression)."""
ALL: Final = "all"

Counts = Mapping[str, int]
PublishedCounts = dict[str, int | None]
"""None marks a suppressed count."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: counts, and durations in seconds that are published only with a large enough count."""

    key: str
    counts: Counts
    seconds: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedLine:
    """A line after suppression."""

    key: str
    counts: PublishedCounts
    seconds: dict[str, float | None] = field(default_factory=dict)


def suppress_small_counts(parts: Counts) -> PublishedCounts:
    """Suppresses small parts of a known sum, and as many larger parts as it takes to keep them secret.

    Each suppressed part is at least one, so their sum conceals the largest part only if that part could be a count
    that would be published.
    """
    hidden = {key for key, count in parts.items() if 0 < count < MIN_COUNT}
    others = sorted((key for key, count in parts.items() if count and key not in hidden), key=lambda k: (parts[k], k))
    while hidden and others and (len(hidden) == 1 or not _is_ambiguous({key: parts[key] for key in hidden})):
        hidden.add(others.pop(0))
    return {key: None if key in hidden else count for key, count in parts.items()}


def _is_ambiguous(hidden: Counts) -> bool:
    return sum(hidden.values()) - (len(hidden) - 1) >= MIN_COUNT


def publish_lines(lines: Sequence[Line], nested: Sequence[str] = ()) -> list[PublishedLine]:
    """Suppresses a table whose lines add up to a total, such as referrals by agency; the total is the last line.

    Each measure in `nested` is a subset of the one before, as accepted is of offered: a small difference between two
    of them would reveal a small count.
    """
    published: dict[str, PublishedCounts] = {line.key: {} for line in lines}
    totals: PublishedCounts = {}
    for measure in lines[0].counts if lines else ():
        column = {line.key: line.counts[measure] for line in lines}
        published_column = suppress_small_counts(column)
        hidden = {key: column[key] for key, count in published_column.items() if count is None}
        for key, count in published_column.items():
            published[key][measure] = count
        total = sum(column.values())
        totals[measure] = None if 0 < total < MIN_COUNT or (hidden and not _is_ambiguous(hidden)) else total
    shown = [
        *(PublishedLine(line.key, published[line.key], dict(line.seconds)) for line in lines),
        *([PublishedLine(ALL, totals)] if lines else []),
    ]
    for line in shown:
        _hide_small_differences(line.counts, nested)
    return [PublishedLine(line.key, line.counts, _publish_seconds(line)) for line in shown]


def _hide_small_differences(counts: PublishedCounts, nested: Sequence[str]) -> None:
    for position, inner in enumerate(nested):
        for outer in nested[:position]:
            whole, part = counts.get(outer), counts.get(inner)
            if whole is not None and part is not None and 0 < whole - part < MIN_COUNT:
                counts[inner] = None


def publish_parts(lines: Sequence[Line]) -> list[PublishedLine]:
    """Suppresses a table in which the counts of each line add up to a known total, such as rights by state."""
    return [PublishedLine(line.key, _publish_part_counts(line.counts)) for line in lines]


def _publish_part_counts(counts: Counts) -> PublishedCounts:
    published = suppress_small_counts(counts)
    hidden = {key: counts[key] for key, count in published.items() if count is None}
    # The total is known, so if too little is hidden even a zero would reveal the rest.
    return dict.fromkeys(counts) if hidden and not _is_ambiguous(hidden) else published


def _publish_seconds(line: PublishedLine) -> dict[str, float | None]:
    """Suppresses durations whose count is small; `accepted_p50` belongs to the count `accepted`."""
    return {
        name: value if _is_published(line.counts.get(name.rpartition("_")[0])) else None
        for name, value in line.seconds.items()
    }


def _is_published(count: int | None) -> bool:
    return count is not None and count >= MIN_COUNT

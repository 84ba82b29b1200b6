"""How well the city serves children, in figures that point at none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SMALLEST: Final = 5
"""A figure below this could point at a child, so it is not told (domain: small-number suppression)."""
ALL: Final = "all"

Counts = Mapping[str, int]
Told = dict[str, int | None]
"""None stands for a figure that is not told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: counts, and seconds that make sense only where enough was counted."""

    key: str
    counts: Counts
    seconds: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToldLine:
    """A line as it may be told."""

    key: str
    counts: Told
    seconds: dict[str, float | None] = field(default_factory=dict)


def suppressed(parts: Counts) -> Told:
    """Parts of a known whole without the small ones, and without so many others that none can be worked out.

    What is hidden is at least one each, so the sum of the hidden leaves the largest of them open only when it could
    be a figure that would be told.
    """
    hidden = {key for key, count in parts.items() if 0 < count < SMALLEST}
    others = sorted((key for key, count in parts.items() if count and key not in hidden), key=lambda k: (parts[k], k))
    while hidden and others and (len(hidden) == 1 or not _is_open({key: parts[key] for key in hidden})):
        hidden.add(others.pop(0))
    return {key: None if key in hidden else count for key, count in parts.items()}


def _is_open(hidden: Counts) -> bool:
    return sum(hidden.values()) - (len(hidden) - 1) >= SMALLEST


def by_lines(lines: Sequence[Line], nested: Sequence[str] = ()) -> list[ToldLine]:
    """A table whose lines are parts of the sum below it, as referrals are by agency; the sum is the last line.

    `nested` are measures of which each counts some of the one before, as accepted counts some of the offered: where
    few are missing, those few would be told.
    """
    told: dict[str, Told] = {line.key: {} for line in lines}
    totals: Told = {}
    for measure in lines[0].counts if lines else ():
        column = {line.key: line.counts[measure] for line in lines}
        told_column = suppressed(column)
        hidden = {key: column[key] for key, count in told_column.items() if count is None}
        for key, count in told_column.items():
            told[key][measure] = count
        total = sum(column.values())
        totals[measure] = None if 0 < total < SMALLEST or (hidden and not _is_open(hidden)) else total
    shown = [
        *(ToldLine(line.key, told[line.key], dict(line.seconds)) for line in lines),
        *([ToldLine(ALL, totals)] if lines else []),
    ]
    for line in shown:
        _hide_the_few_that_are_missing(line.counts, nested)
    return [ToldLine(line.key, line.counts, _seconds(line)) for line in shown]


def _hide_the_few_that_are_missing(counts: Told, nested: Sequence[str]) -> None:
    for position, inner in enumerate(nested):
        for outer in nested[:position]:
            whole, part = counts.get(outer), counts.get(inner)
            if whole is not None and part is not None and 0 < whole - part < SMALLEST:
                counts[inner] = None


def by_parts(lines: Sequence[Line]) -> list[ToldLine]:
    """A table whose every line is a whole in parts, as a right is by its states."""
    return [ToldLine(line.key, _parts(line.counts)) for line in lines]


def _parts(counts: Counts) -> Told:
    told = suppressed(counts)
    hidden = {key: counts[key] for key, count in told.items() if count is None}
    # How many cases there were is told beside it, so even a zero would tell where nothing else can be hidden.
    return dict.fromkeys(counts) if hidden and not _is_open(hidden) else told


def _seconds(line: ToldLine) -> dict[str, float | None]:
    """A time is that of few children where few were counted; `accepted_p50` belongs to the count `accepted`."""
    return {name: value if _is_told(line.counts.get(name.rpartition("_")[0])) else None
            for name, value in line.seconds.items()}  # fmt: skip


def _is_told(count: int | None) -> bool:
    return count is not None and count >= SMALLEST

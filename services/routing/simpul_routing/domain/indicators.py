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
    """Parts of a known whole without the small ones; never only one is missing, for the whole would tell it."""
    hidden = {key for key, count in parts.items() if 0 < count < SMALLEST}
    if len(hidden) == 1:
        others = [key for key, count in parts.items() if count and key not in hidden]
        hidden |= set(sorted(others, key=lambda key: (parts[key], key))[:1])
    return {key: None if key in hidden else count for key, count in parts.items()}


def by_lines(lines: Sequence[Line]) -> list[ToldLine]:
    """A table whose lines are parts of the sum below it, as referrals are by agency; the sum is the last line."""
    told: dict[str, Told] = {line.key: {} for line in lines}
    totals: Told = {}
    for measure in lines[0].counts if lines else ():
        column = {line.key: line.counts[measure] for line in lines}
        for key, count in suppressed(column).items():
            told[key][measure] = count
        total = sum(column.values())
        totals[measure] = None if 0 < total < SMALLEST else total
    return [
        *(ToldLine(line.key, told[line.key], _seconds(line, told[line.key])) for line in lines),
        *([ToldLine(ALL, totals)] if lines else []),
    ]


def by_parts(lines: Sequence[Line]) -> list[ToldLine]:
    """A table whose every line is a whole in parts, as a right is by its states."""
    return [ToldLine(line.key, suppressed(line.counts)) for line in lines]


def _seconds(line: Line, told: Told) -> dict[str, float | None]:
    """A time is that of few children where few were counted; `accepted_p50` belongs to the count `accepted`."""
    return {name: value if _is_told(told.get(name.rpartition("_")[0])) else None
            for name, value in line.seconds.items()}  # fmt: skip


def _is_told(count: int | None) -> bool:
    return count is not None and count >= SMALLEST

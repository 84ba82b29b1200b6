"""Bars of a chart from published indicators; what is suppressed has no bar, and its table says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 320
"""Length of the longest bar, in units of the drawing."""
ROW: Final = 44
"""Height of a bar with its label, in units of the drawing."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a chart and of the table behind it."""

    label: str
    value: float | None
    """None for a figure that is suppressed because it could identify a child."""
    length: float
    y: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of horizontal bars."""

    name: str
    bars: tuple[Bar, ...]
    unit: str = ""
    """`%`, `s` for seconds, or empty for a count."""

    @property
    def height(self) -> int:
        """Height of the drawing, in its units."""
        return ROW * len(self.bars)


Value = Callable[[Mapping[str, Any]], float | None]


def build_chart(
    name: str, lines: Sequence[Mapping[str, Any]], value: Value, label: Callable[[str], str], unit: str = ""
) -> Chart:
    """Builds a chart with one bar for each line, in the order of the lines; the longest is that of the largest value.

    A share is drawn against 100, so that half of the width is half of the children.
    """
    values = [value(line) for line in lines]
    largest = 100.0 if unit == "%" else max((one for one in values if one), default=0)
    bars = tuple(
        Bar(label(str(line["key"])), one, round(WIDTH * one / largest, 1) if one and largest else 0, number * ROW)
        for number, (line, one) in enumerate(zip(lines, values, strict=True))
    )
    return Chart(name, bars, unit)


def count_of(name: str) -> Value:
    """Returns the function that reads a count, or a duration in seconds."""
    return lambda line: line.get(name)


def share_of(part: str, *others: str) -> Value:
    """Returns the function that reads a count as percent of its sum with others; None if any is suppressed."""

    def read(line: Mapping[str, Any]) -> float | None:
        counts = [line.get(name) for name in (part, *others)]
        known = [one for one in counts if one is not None]
        return _percent(known[0], sum(known)) if len(known) == len(counts) else None

    return read


def rate_of(part: str, whole: str) -> Value:
    """Returns the function that reads a count as percent of another that contains it; None if one is suppressed."""

    def read(line: Mapping[str, Any]) -> float | None:
        inner, outer = line.get(part), line.get(whole)
        return None if inner is None or outer is None else _percent(inner, outer)

    return read


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole else None

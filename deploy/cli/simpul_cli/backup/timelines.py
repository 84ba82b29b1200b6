"""Which copies lead to the server that runs now, and which to one that a restore has left.

PostgreSQL begins a new timeline with each restore to a moment. Its history file says at which position of the log it
left each earlier one; what the earlier server wrote after that position is on no path to the present one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LEFT: Final = re.compile(r"^\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Timelines:
    """The timeline of the server that runs now, and those that led to it."""

    current: int
    left_at: Mapping[int, int]
    """Earlier timeline -> position in the log at which it was left."""

    def is_on_the_way(self, timeline: int, position: int) -> bool:
        """Whether what ended at this position of a timeline is part of the present server's past."""
        return timeline == self.current or position <= self.left_at.get(timeline, -1)


def read_history(current: int, text: str) -> Timelines:
    """Reads the history file of the current timeline; the first one has none."""
    return Timelines(current, {int(number): position_of(left) for number, left in _LEFT.findall(text)})


def position_of(written: str) -> int:
    """Returns a position in the log from the form `1/A0000028`."""
    high, _, low = written.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def timeline_of(segment: str) -> int:
    """Returns the timeline of a file of the log, whose name begins with it."""
    return int(segment[:8], 16)

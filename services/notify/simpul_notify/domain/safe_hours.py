"""The hours in which a person may be contacted."""

import re
from dataclasses import dataclass
from datetime import time
from typing import Final, Self

_WRITTEN: Final = re.compile(r"(\d\d)[.:](\d\d)\s*-\s*(\d\d)[.:](\d\d)")


@dataclass(frozen=True, slots=True)
class SafeHours:
    """The part of each day in which a person may be contacted; over midnight when it ends before it starts."""

    start: time
    end: time

    @classmethod
    def read(cls, written: str) -> Self:
        """Reads hours such as `06.00-21.00`; raises ValueError."""
        found = _WRITTEN.fullmatch(written.strip())
        if found is None:
            msg = "not written as 06.00-21.00"
            raise ValueError(msg)
        first_hour, first_minute, last_hour, last_minute = map(int, found.groups())
        return cls(time(first_hour, first_minute), time(last_hour, last_minute))

    def contains(self, moment: time) -> bool:
        """Whether a local time is within the hours."""
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end

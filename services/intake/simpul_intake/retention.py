"""How long each section of a case is kept after the case ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

FACTS: Final = "triage"
"""The section with the facts that routing decides on; the agreement has no period for it alone."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The sections of a case whose time is over, and whether the case ends with them."""

    sections: frozenset[str]
    is_whole_case: bool


def find_expired(sections: Iterable[str], years: Mapping[str, int], ended_at: datetime, now: datetime) -> Expiry:
    """Decides which sections of a case have been kept long enough.

    A section without a period is kept. The facts are kept as long as any other section, and a case without another
    section as long as the longest period says.
    """
    others = {section for section in sections if section != FACTS}
    expired = {name for name in others if name in years and add_years(ended_at, years[name]) <= now}
    if others:
        return Expiry(frozenset(expired), is_whole_case=expired == others)
    return Expiry(frozenset(), is_whole_case=bool(years) and add_years(ended_at, max(years.values())) <= now)


def add_years(moment: datetime, years: int) -> datetime:
    """Adds calendar years in UTC; 29 February becomes 1 March, because keeping a day longer can be undone."""
    start = moment.astimezone(UTC)
    try:
        return start.replace(year=start.year + years)
    except ValueError:
        return start.replace(year=start.year + years, month=3, day=1)

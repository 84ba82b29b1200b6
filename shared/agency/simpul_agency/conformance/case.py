"""The list of cases; each is a function that fails with a reason."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from simpul_agency.conformance.trial import Trial

RunCase = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One thing that every consumer must do, whatever its language."""

    name: str
    requirement: str
    """What the consumer must do, and why it matters to a child."""
    run: RunCase
    is_last: bool = False
    """Whether it checks the effects of the others."""


CASES: Final[list[Case]] = []
"""In the order of their modules; those with `is_last` run at the end."""


def case(requirement: str, *, is_last: bool = False) -> Callable[[RunCase], RunCase]:
    """Adds a function to the list under its own name."""

    def add(function: RunCase) -> RunCase:
        CASES.append(Case(function.__name__, requirement, function, is_last))
        return function

    return add

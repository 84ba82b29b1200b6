"""The list of cases; each is a function that fails with a reason."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from simpul_agency.conformance.trial import Trial

Try = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One thing that a consumer must do whatever language it is written in."""

    name: str
    requirement: str
    """What, and why it matters to a child."""
    run: Try
    is_last: bool = False
    """Looks back on the others."""


CASES: list[Case] = []
"""In the order in which they are run: what would make the rest meaningless comes first."""


def case(requirement: str, *, is_last: bool = False) -> Callable[[Try], Try]:
    """Add a function to the list under its own name."""

    def add(function: Try) -> Try:
        CASES.append(Case(function.__name__, requirement, function, is_last))
        return function

    return add
